"""Filling in the order of the model's confidence, against a naive loop."""

import itertools
from types import SimpleNamespace

import pytest

from modeling_glm import BlankConstraint, fill_blanks
from modeling_glm.filling import confident_first
from modeling_glm.filling.confident_first import fill_confident_first
from modeling_glm.filling.jobs import FillingSettings, JobBuilder
from tests.support.naive_filling import fill_naively_by_confidence
from tests.support.naive_scoring import naive_log_probs

TEXTS = [
    "Paris is the capital of [MASK], and Rome is the [MASK] of [MASK], in the year 1987, when the fox was found.",
    "The [MASK] fox jumps over the [MASK].",
    "The number [gMASK]",
]


def test_it_fills_as_the_naive_loop(model, tokenizer):
    """Texts with different numbers of blanks go together."""
    settings = FillingSettings(order="confident-first", max_new_tokens_per_blank=6)
    builder = JobBuilder(tokenizer, model.config, settings)
    jobs = [builder.build(number, text) for number, text in enumerate(TEXTS)]
    found = fill_confident_first(model, jobs, settings)
    ends = {model.config.eop_token_id, model.config.eos_token_id}
    special = tuple(i for i in tokenizer.all_special_ids if i not in ends)
    orders = set()
    for text, (candidate,) in zip(TEXTS, found, strict=True):
        context = tokenizer(text)["input_ids"]
        order, pieces = zip(*fill_naively_by_confidence(model, context, 6, special), strict=True)
        orders.add(order)
        assert candidate.order == order
        assert [list(piece.token_ids) for piece in candidate.pieces] == list(pieces)
        for piece, scores in zip(candidate.pieces, naive_log_probs(model, context, order, pieces), strict=True):
            assert list(piece.log_probs) == pytest.approx(scores, abs=1e-4)
    assert any(list(order) != sorted(order) for order in orders)  # else the order would be left to right


def test_constraints_are_those_of_each_blank(model, tokenizer):
    constraints = [None, BlankConstraint(choices=["fox", "dog"]), BlankConstraint(regex="[0-9]{2}")]
    settings = {"order": "confident-first", "max_new_tokens_per_blank": 6}
    (filling,) = fill_blanks(model, tokenizer, TEXTS[0], constraints=constraints, **settings)
    assert filling.answers[1].text in ("fox", "dog")
    assert filling.answers[2].text.isdigit()
    assert len(filling.answers[2].text) == 2


@pytest.mark.parametrize("rounds", [0, 1, 2, 3])
def test_texts_that_were_filled_in_time_are_returned(rounds, model, tokenizer, monkeypatch):
    """The time is over after some rounds. A text with one blank needs one round, one with two blanks two rounds."""
    settings = {"order": "confident-first", "max_new_tokens_per_blank": 6}
    expected = fill_blanks(model, tokenizer, TEXTS, **settings)
    calls = itertools.chain([0.0] * (1 + rounds), itertools.repeat(1e9))  # asked once at first and once in each round
    monkeypatch.setattr(confident_first, "time", SimpleNamespace(monotonic=lambda: next(calls)))
    found = fill_blanks(model, tokenizer, TEXTS, **settings, max_time=1e6)
    blanks = [len(fillings[0].answers) for fillings in expected]
    assert blanks == [3, 2, 1]
    assert _texts(found) == [
        texts if count <= rounds else [] for texts, count in zip(_texts(expected), blanks, strict=True)
    ]


def test_a_try_without_an_end_is_left_out(model, tokenizer):
    """The limit of time that `generate` meets itself."""
    assert fill_blanks(model, tokenizer, TEXTS, order="confident-first", max_time=1e-9) == [[], [], []]


def test_many_tries_go_in_parts(model, tokenizer, monkeypatch):
    settings = {"order": "confident-first", "max_new_tokens_per_blank": 6, "batch_size": 1}
    expected = fill_blanks(model, tokenizer, TEXTS, **settings)
    rows = []
    fill_rows = confident_first.fill_rows
    monkeypatch.setattr(confident_first, "LEAST_ROWS", 2)
    monkeypatch.setattr(
        confident_first,
        "fill_rows",
        lambda model, ids, **kwargs: rows.append(len(ids)) or fill_rows(model, ids, **kwargs),
    )
    found = fill_blanks(model, tokenizer, TEXTS, **settings)
    assert _texts(found) == _texts(expected)
    assert sorted(rows) == [1, 1, 1, 1, 2, 2, 2]


def _texts(found):
    return [[filling.text for filling in fillings] for fillings in found]

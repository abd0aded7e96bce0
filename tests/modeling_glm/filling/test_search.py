"""The searches from left to right: exact rankings, beams, greedy search and draws."""

import itertools
import re

import pytest
import torch

from modeling_glm import BlankConstraint, fill_blanks, score_fillings
from modeling_glm.filling import search
from modeling_glm.filling.scoring import Candidates, score_candidates

TEXTS = [
    "The [MASK] fox jumps over the [MASK].",
    "[MASK] is the capital of Italy.",
]


def test_the_best_of_all_is_found(model, tokenizer):
    """Every sequence of at most two tokens that the expression allows, scored one by one."""
    text, pattern = TEXTS[1], "[a-h]{1,4}"
    texts = {i: tokenizer.decode([i]) for i in range(len(tokenizer)) if i not in tokenizer.all_special_ids}
    usable = [i for i, word in texts.items() if re.fullmatch(" ?[a-h]*", word) and word]
    pieces = [
        list(piece)
        for length in (1, 2)
        for piece in itertools.product(usable, repeat=length)
        if re.fullmatch(f" ?{pattern}", tokenizer.decode(piece))
    ]
    assert len(pieces) > 50
    candidates = Candidates(context=tokenizer(text)["input_ids"], order=[0], pieces=[[piece] for piece in pieces])
    scores = [candidate.pieces[0].log_prob for candidate in score_candidates(model, [candidates])[0]]
    best: dict[str, float] = {}
    for piece, score in zip(pieces, scores, strict=True):
        word = tokenizer.decode(piece).strip()
        best[word] = max(best.get(word, score), score)
    ranking = sorted(best, key=best.__getitem__, reverse=True)[:5]
    asked = BlankConstraint(regex=pattern, max_new_tokens=2)
    found = fill_blanks(model, tokenizer, text, 5, constraints=asked, num_beams=64)
    assert [filling.answers[0].text for filling in found] == ranking
    assert [filling.log_prob for filling in found] == pytest.approx([best[word] for word in ranking], abs=1e-4)


def test_closed_sets_rank_as_one_by_one(model, tokenizer, monkeypatch):
    first, second = ["fox", "dog", "lazy cat"], ["Rome", "the capital of Italy", "1987", "over"]
    constraints = [BlankConstraint(choices=first), BlankConstraint(choices=second)]
    pairs = list(itertools.product(first, second))
    alone = {pair: score_fillings(model, tokenizer, TEXTS[0], [pair])[0].log_prob for pair in pairs}
    ranking = sorted(pairs, key=alone.__getitem__, reverse=True)
    exact = fill_blanks(model, tokenizer, TEXTS[0], len(pairs), constraints=constraints)
    assert [tuple(answer.text for answer in filling.answers) for filling in exact] == ranking
    assert [f.log_prob for f in exact] == pytest.approx([alone[pair] for pair in ranking], abs=1e-4)
    # Searched instead, with beams enough for all, behind a space and without.
    monkeypatch.setattr("modeling_glm.filling.jobs.MAX_EXACT", 0)
    searched = fill_blanks(model, tokenizer, TEXTS[0], len(pairs), constraints=constraints, num_beams=96)
    assert [filling.text for filling in searched] == [filling.text for filling in exact]


def watch_batches(model):
    """The batch size of every forward pass from here on."""
    sizes = []
    hook = model.glm.register_forward_pre_hook(
        lambda module, args, kwargs: sizes.append(len(args[0] if args else kwargs["input_ids"])), with_kwargs=True
    )
    return sizes, hook


@pytest.mark.parametrize("search", [{}, {"num_answers": 3, "do_sample": True}], ids=str)
def test_filled_rows_leave_the_batch_and_nothing_is_read_again(model, tokenizer, monkeypatch, search):
    monkeypatch.setattr(
        "modeling_glm.filling.search.score_candidates", lambda *args: pytest.fail("All was read again.")
    )
    texts = ["[MASK] is the capital of Italy."] * 5 + [" ".join(["[MASK] fox"] * 4)] * 3
    sizes, hook = watch_batches(model)
    try:
        fill_blanks(model, tokenizer, texts, **search, max_new_tokens_per_blank=6)
    finally:
        hook.remove()
    assert sizes[0] == len(texts) * search.get("num_answers", 1)
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < sizes[0] / 2


BEAMS = [
    {"num_beams": 3},
    {"num_answers": 3, "length_penalty": 1.0},
    {"num_answers": 2, "length_penalty": -2.0, "num_beams": 7},
    {"num_answers": 2, "constraints": BlankConstraint(regex="[a-z ]{1,6}")},
    {"num_answers": 2, "constraints": BlankConstraint(min_new_tokens=2, max_new_tokens=3)},
    {"num_answers": 2, "repetition_penalty": 1.5},
    {"num_answers": 2, "guidance_scale": 1.5},
    {
        "num_answers": 4,
        "num_beams": 12,
        "constraints": BlankConstraint(regex="[ab]{1,2}"),
    },  # too few tokens for all beams
]


@pytest.mark.parametrize("settings", BEAMS, ids=str)
def test_log_probabilities_of_beams_are_kept_while_searching(model, tokenizer, monkeypatch, settings):
    """The same as those of reading all beams again, and nothing is read again."""
    texts = [*TEXTS, "[MASK] [MASK] and [MASK]"]
    settings = {"max_new_tokens_per_blank": 4, **settings}
    with monkeypatch.context() as patch:
        patch.setattr(search.BeamScoreRecorder, "read", lambda self, output: None)
        expected = fill_blanks(model, tokenizer, texts, **settings)
    monkeypatch.setattr(search, "score_candidates", lambda *args: pytest.fail("All was read again."))
    found = fill_blanks(model, tokenizer, texts, **settings)
    assert [[one.text for one in of_text] for of_text in found] == [[o.text for o in of_text] for of_text in expected]
    kept, read_again = (
        [answer.token_log_probs for of_text in all_of_them for one in of_text for answer in one.answers]
        for all_of_them in (found, expected)
    )
    assert len(kept) >= 6
    for one, other in zip(kept, read_again, strict=True):
        assert one == pytest.approx(other, abs=1e-5)


def test_tokens_of_a_draft_are_scored_as_all_others(model, tokenizer):
    text = TEXTS[0]
    (expected,), (drafted,) = (
        fill_blanks(model, tokenizer, text, max_new_tokens_per_blank=6),
        fill_blanks(model, tokenizer, text, prompt_lookup_num_tokens=3, max_new_tokens_per_blank=6),
    )
    assert drafted.text == expected.text
    assert drafted.log_prob == pytest.approx(expected.log_prob, abs=1e-4)


def test_draws_follow_the_distribution(model, tokenizer):
    """The share of every first answer among many draws, against its probability."""
    choices = ["fox", "dog", "cat"]
    only = BlankConstraint(choices=[f" {choice}" for choice in choices])
    text = "The [MASK] jumps."
    exact = {f.answers[0].text: f for f in fill_blanks(model, tokenizer, text, 3, constraints=only)}
    drawn = fill_blanks(
        model, tokenizer, [text] * 600, constraints=only, do_sample=True, temperature=1.0, batch_size=600
    )
    found = [fillings[0].answers[0].text for fillings in drawn]
    # A draw renormalises step by step over what may follow; all three have their own first token.
    first = torch.tensor([exact[choice].answers[0].token_log_probs[0] for choice in choices]).softmax(-1)
    for choice, expected in zip(choices, first.tolist(), strict=True):
        assert abs(found.count(choice) / 600 - expected) < 4 * (expected * (1 - expected) / 600) ** 0.5 + 1e-9


def test_many_draws_go_in_parts(model, tokenizer, monkeypatch):
    """A draw depends on its numbers only, so parts of any size give the same answers."""
    settings = {"do_sample": True, "num_answers": 5, "max_new_tokens_per_blank": 4}
    texts = ["The [MASK] fox.", "Paris is [MASK] of [MASK]."]
    expected = fill_blanks(model, tokenizer, texts, **settings)
    rows = []
    fill_rows = search.fill_rows
    monkeypatch.setattr(search, "MAX_ROWS", 3)
    monkeypatch.setattr(
        search, "fill_rows", lambda model, ids, **kwargs: rows.append(len(ids)) or fill_rows(model, ids, **kwargs)
    )
    found = fill_blanks(model, tokenizer, texts, **settings)
    assert [[f.text for f in fillings] for fillings in found] == [[f.text for f in fillings] for fillings in expected]
    assert max(rows) == 3

"""Exact scores of given answers: as token by token, alone or among others, in any order of the blanks."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import torch

from modeling_glm import GLMForConditionalGeneration, GLMForMultipleChoice, score_fillings
from modeling_glm.filling import scoring
from modeling_glm.filling.results import ScoredCandidate
from modeling_glm.filling.scoring import (
    Candidates,
    GivenAnswers,
    score_candidates,
    score_likeliest_forms,
)
from modeling_glm.layout_glm import compute_position_ids
from modeling_glm.utils.rows import read_rows
from tests.support.containers import CONTAINERS
from tests.support.models import TOKEN_IDS, make_model, words
from tests.support.naive_scoring import naive_log_probs

CLS, EOS, MASK, GMASK, SOP, EOP = (
    TOKEN_IDS[f"{name}_token_id"] for name in ("cls", "eos", "mask", "gmask", "sop", "eop")
)
CONTEXT = [CLS, *words(3, seed=1), MASK, *words(2, seed=2), MASK, words(1, seed=3)[0], GMASK, EOS]
PIECES = [[words(2, seed=4), words(1, seed=5), words(3, seed=6)], [words(1, seed=7), [], words(2, seed=8)]]


def log_probs(candidate: ScoredCandidate) -> list[tuple[float, ...]]:
    return [piece.log_probs for piece in candidate.pieces]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)], ids=str)
@pytest.mark.parametrize("block_positions", [True, False])
@pytest.mark.parametrize("attn_implementation", ["sdpa", "eager"])
def test_scores_are_those_of_token_by_token(order, block_positions, attn_implementation):
    model = make_model(
        GLMForConditionalGeneration,
        attn_implementation=attn_implementation,
        block_position_embeddings=block_positions,
    )
    (scores,) = score_candidates(model, [Candidates(context=CONTEXT, order=order, pieces=PIECES)])
    for found, pieces in zip(scores, PIECES, strict=True):
        for mine, naive in zip(log_probs(found), naive_log_probs(model, CONTEXT, order, pieces), strict=True):
            torch.testing.assert_close(torch.tensor(mine), torch.tensor(naive), atol=1e-5, rtol=1e-5)


def test_positions_are_those_of_the_model():
    """From left to right nothing has to be said: the model finds the same positions in the ids."""
    model = make_model(GLMForConditionalGeneration)
    pieces = PIECES[0]
    ids = torch.tensor([[*CONTEXT, *(token for piece in pieces for token in (SOP, *piece))]])
    logits = model(ids, position_ids=compute_position_ids(ids, model.config)).logits[0, len(CONTEXT) :].log_softmax(-1)
    torch.testing.assert_close(model(ids).logits[0, len(CONTEXT) :].log_softmax(-1), logits)
    targets = [token for piece in pieces for token in (*piece, -1)]
    expected = [row[[EOP, EOS]].logsumexp(-1) if t < 0 else row[t] for row, t in zip(logits, targets, strict=True)]
    ((found,),) = score_candidates(model, [Candidates(context=CONTEXT, order=(0, 1, 2), pieces=[pieces])])
    scores = torch.tensor([score for piece in log_probs(found) for score in piece])
    torch.testing.assert_close(scores, torch.stack(expected), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 2, 32])
def test_company_changes_nothing(monkeypatch, batch_size):
    """Texts of other lengths in the batch, and candidates that need several rows."""
    monkeypatch.setattr("modeling_glm.filling.scoring.MAX_BRANCH_TOKENS", 20)
    monkeypatch.setattr("modeling_glm.branches_glm.MAX_LOGIT_ROWS", 5)
    model = make_model(GLMForConditionalGeneration)
    short = [CLS, MASK, EOS]
    texts = [
        Candidates(context=CONTEXT, order=(0, 1, 2), pieces=PIECES * 3),
        Candidates(context=short, order=(0,), pieces=[[words(count, seed=count)] for count in range(8)]),
        Candidates(context=short, order=(0,), pieces=[]),
    ]
    found = score_candidates(model, texts, batch_size)
    assert found[2] == []
    for text, scores in zip(texts[:2], found, strict=False):
        for pieces, mine in zip(text.pieces, scores, strict=True):
            naive = naive_log_probs(model, text.context, text.order, pieces)
            for one, other in zip(log_probs(mine), naive, strict=True):
                torch.testing.assert_close(torch.tensor(one), torch.tensor(other), atol=1e-5, rtol=1e-5)


def test_the_same_as_scores_of_choices():
    """`GLMForMultipleChoice` scores choices without their end, which is a token like any other there."""
    model = make_model(GLMForConditionalGeneration)
    chooser = make_model(GLMForMultipleChoice)
    chooser.load_state_dict(model.state_dict())
    context, choices = [CLS, *words(3), MASK, EOS], [words(2, seed=1), words(2, seed=2), words(2, seed=3)]
    logits = chooser(torch.tensor([context]), choice_ids=torch.tensor([choices])).logits[0]
    candidates = Candidates(context=context, order=(0,), pieces=[[choice] for choice in choices])
    for found in (score_candidates(model, [candidates]), score_candidates(chooser, [candidates])):
        sums = torch.tensor([sum(candidate.pieces[0].log_probs[:-1]) for candidate in found[0]])
        torch.testing.assert_close(sums, logits.detach(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("most", [1, 2, 4, 16])
def test_the_likeliest_of_all_forms_is_found(monkeypatch, most):
    """Jointly up to a number of combinations, and blank by blank for more, behind the likelier forms before."""
    monkeypatch.setattr("modeling_glm.filling.scoring.MAX_JOINT_FORMS", most)
    model = make_model(GLMForConditionalGeneration)
    order = (0, 2, 1)
    forms = [[words(count, seed=10 * row + count) for count in (1, 2)] for row in range(4)]
    rows = [[forms[0], forms[1], forms[2]], [forms[3][:1], forms[0], [()]], [forms[2], forms[1][:1], forms[0]]]
    given = [
        GivenAnswers(context=CONTEXT, order=order, rows=rows),
        GivenAnswers(context=[CLS, EOS], order=(), rows=[]),
    ]
    found, nothing = score_likeliest_forms(model, given)
    assert nothing == []

    def joint(pieces) -> list[float]:
        return [sum(scores) for scores in naive_log_probs(model, CONTEXT, order[: len(pieces)], pieces)]

    for row, candidate in zip(rows, found, strict=True):
        kept: list = []
        while math.prod(map(len, row[len(kept) :])) > most:
            kept.append(max(row[len(kept)], key=lambda form: joint([*kept, form])[-1]))
        rest = itertools.product(*row[len(kept) :])
        expected = max(([*kept, *pieces] for pieces in rest), key=lambda pieces: sum(joint(pieces)))
        assert [list(piece.token_ids) for piece in candidate.pieces] == [list(piece) for piece in expected]
        assert [piece.log_prob for piece in candidate.pieces] == pytest.approx(joint(expected), abs=1e-4)
        assert candidate.order == order


def test_given_answers_mean_the_word_however_it_is_spaced(tokenizer):
    model = make_model(GLMForConditionalGeneration, vocab_size=len(tokenizer), **tokenizer.special_token_ids)
    texts = ["The [MASK] fox runs [MASK].", "The[MASK] fox runs[MASK].", "The\n[MASK] fox runs  [MASK]."]
    answers = [("quick", "home"), (" quick", " home"), ("quick", ""), ("qu ick", "-home")]
    by_text = [score_fillings(model, tokenizer, text, answers) for text in texts]
    assert by_text[0] == by_text[1] == by_text[2]
    context = tokenizer(texts[0])["input_ids"]
    for row, filling in zip(answers, by_text[0], strict=True):
        spellings = [[answer] if not answer or answer[0] == " " else [answer, f" {answer}"] for answer in row]
        pieces = [
            [tokenizer(answer, add_special_tokens=False)["input_ids"] for answer in spelled]
            for spelled in itertools.product(*spellings)
        ]
        joint = [sum(map(sum, naive_log_probs(model, context, [0, 1], both))) for both in pieces]
        best = joint.index(max(joint))
        assert filling.log_prob == pytest.approx(joint[best], abs=1e-4)
        assert [list(answer.token_ids) for answer in filling.answers] == pieces[best]
        assert [answer.text for answer in filling.answers] == [answer.strip() for answer in row]
        spaces = [answer.text.before for answer in filling.answers]
        words_ = [f"{space}{answer.strip()}" for space, answer in zip(spaces, row, strict=True)]
        assert filling.text == f"The{words_[0]} fox runs{words_[1]}."


def test_without_ends_only_the_last_one_is_left_out():
    model = make_model(GLMForConditionalGeneration)
    texts = [Candidates(context=CONTEXT, order=(2, 0, 1), pieces=PIECES)]
    (whole,), (without,) = score_candidates(model, texts), score_candidates(model, texts, score_ends=False)
    for one, other in zip(whole, without, strict=True):
        *before, last = log_probs(one)
        expected = [*before, last[:-1]]
        assert [len(scores) for scores in log_probs(other)] == [len(scores) for scores in expected]
        for mine, scores in zip(log_probs(other), expected, strict=True):
            assert list(mine) == pytest.approx(list(scores), abs=1e-5)


def test_an_order_that_names_no_blank_is_refused():
    model = make_model(GLMForConditionalGeneration)
    with pytest.raises(ValueError, match=r"order=\[0, 0, 1\] must name blanks of the text, 0 to 2, once each"):
        score_candidates(model, [Candidates(context=CONTEXT, order=(0, 0, 1), pieces=PIECES)])


@pytest.fixture(scope="module")
def text_model(tokenizer) -> GLMForConditionalGeneration:
    return make_model(GLMForConditionalGeneration, vocab_size=len(tokenizer), **tokenizer.special_token_ids)


def test_many_answers_are_scored_in_one_pass(text_model, tokenizer, monkeypatch):
    calls = []
    forward = text_model.glm.forward
    monkeypatch.setattr(text_model.glm, "forward", lambda *args, **kwargs: calls.append(1) or forward(*args, **kwargs))
    answers = [f"{letter}{number}" for letter in "abcdefgh" for number in range(8)]
    assert len(score_fillings(text_model, tokenizer, "[MASK] is the capital of Italy.", answers)) == 64
    assert len(calls) == 1


def test_fillings_to_score_must_fit_the_text(text_model, tokenizer):
    with pytest.raises(ValueError, match=r"fillings\[1\] has 1 answers, but the text has 2 blanks"):
        score_fillings(text_model, tokenizer, "The [MASK] fox [MASK].", [["a", "b"], ["a"]])
    with pytest.raises(ValueError, match="The text has no blank"):
        score_fillings(text_model, tokenizer, "None here.", [])
    assert score_fillings(text_model, tokenizer, "The [MASK] fox [MASK].", []) == []


@pytest.mark.parametrize(
    "make",
    [
        list,
        iter,
        np.array,
        lambda rows: pd.Series(rows, index=[1, 0]),
        lambda rows: pd.DataFrame(rows, index=[1, 0], columns=["first", "second"]),
        lambda rows: {"first": [row[0] for row in rows], "second": [row[1] for row in rows]},
    ],
    ids=["list", "iterator", "array", "series", "frame", "columns"],
)
def test_any_form_of_fillings(text_model, tokenizer, make):
    rows = [["dog", "home"], ["cat", "fox"]]
    expected = score_fillings(text_model, tokenizer, "The [MASK] and the [MASK].", rows)
    assert score_fillings(text_model, tokenizer, "The [MASK] and the [MASK].", make(rows)) == expected


def test_any_form_of_answers_for_one_blank(text_model, tokenizer):
    answers = ["dog", "lazy fox", "cat"]
    expected = score_fillings(text_model, tokenizer, "The [MASK].", answers)
    # Tables of two columns hold answers for two blanks.
    plain = [make for make in CONTAINERS.values() if all(isinstance(row, str) for row in read_rows(make(answers)))]
    assert len(plain) > 20
    for make in plain:
        assert score_fillings(text_model, tokenizer, "The [MASK].", make(answers)) == expected
    # A string is one filling, not one for each of its characters. A matmul of fewer rows may round in another way.
    (filling,) = score_fillings(text_model, tokenizer, "The [MASK].", "dog")
    assert filling.text == "The dog."
    assert filling.log_prob == pytest.approx(expected[0].log_prob, abs=1e-4)
    with pytest.raises(ValueError, match=r"fillings\[1\] is None: expected a list with at least one string"):
        score_fillings(text_model, tokenizer, "The [MASK].", ["dog", None])


@pytest.mark.slow
@pytest.mark.parametrize("attn_implementation", ["sdpa", "eager"])
def test_the_forms_of_many_blanks_are_found_in_few_passes(monkeypatch, attn_implementation):
    """As a search blank by blank finds them, which asks the model once for every blank."""
    monkeypatch.setattr(scoring, "MAX_JOINT_FORMS", 1)
    model = make_model(GLMForConditionalGeneration, attn_implementation=attn_implementation)
    context = [CLS, *[20, MASK] * 14, EOS]
    passes = []
    compute = scoring.compute_hidden_states
    monkeypatch.setattr(scoring, "compute_hidden_states", lambda *given: passes.append(given) or compute(*given))
    rows = [
        [[tuple(words(2, seed=seed + 2 * blank + form)) for form in (0, 1)] for blank in range(14)]
        for seed in (0, 100)
    ]
    (found,) = score_likeliest_forms(model, [GivenAnswers(context=context, order=range(14), rows=rows)])
    assert len(passes) < 10
    for row, candidate in zip(rows, found, strict=True):
        kept: list = []
        for blank, forms in enumerate(row):
            scored = [naive_log_probs(model, context, range(blank + 1), [*kept, form])[-1] for form in forms]
            kept.append(max(zip(map(sum, scored), forms, strict=True))[1])
        assert [piece.token_ids for piece in candidate.pieces] == kept
        assert any(form == forms[1] for form, forms in zip(kept, row, strict=True))  # else all guesses would be right

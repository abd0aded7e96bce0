"""Scores of continuations: as token by token, whatever else is in the batch."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modeling_glm import GLMForConditionalGeneration, GLMForMultipleChoice, GLMModel
from modeling_glm.evaluation import continuations
from modeling_glm.evaluation.continuations import ContinuationRow, ScoredContinuation, score_continuations
from modeling_glm.utils.rows import RowError
from tests.support.models import TOKEN_IDS, make_model, tiny_config, words
from tests.support.naive_scoring import naive_log_probs

CLS, EOS, MASK, GMASK, SOP = (TOKEN_IDS[f"{name}_token_id"] for name in ("cls", "eos", "mask", "gmask", "sop"))
ROWS = [
    ([CLS, *words(5, seed=1), GMASK], [words(3, seed=2), words(1, seed=3), words(6, seed=4)]),
    ([CLS, *words(2, seed=5), MASK, *words(9, seed=6), EOS], [words(2, seed=7)]),
    ([CLS, MASK, EOS], [words(4, seed=8), words(4, seed=8), [], words(1, seed=9)]),
]


@pytest.fixture(scope="module")
def model():
    return make_model(GLMForConditionalGeneration, seed=1)


def assert_same(found: list[ScoredContinuation], expected: list[ScoredContinuation]):
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.log_probs, other.log_probs, atol=1e-5, rtol=1e-5)
        assert one.is_greedy == other.is_greedy


@torch.no_grad()
def is_greedy(model, context, continuation) -> list[bool]:
    found = []
    for place, token in enumerate(continuation):
        ids = torch.tensor([[*context, SOP, *continuation[:place]]])
        found.append(model(ids).logits[0, -1].argmax().item() == token)
    return found


def test_scores_are_those_of_token_by_token(model):
    for (context, given_ones), scored in zip(ROWS, score_continuations(model, ROWS), strict=True):
        for continuation, found in zip(given_ones, scored, strict=True):
            naive = naive_log_probs(model, context, [0], [continuation])[0][:-1]
            torch.testing.assert_close(found.log_probs, naive, atol=1e-5, rtol=1e-5)
            assert found.is_greedy == is_greedy(model, context, continuation)
            assert found.log_prob == sum(found.log_probs)
            assert found.all_greedy == all(found.is_greedy)


def test_what_the_model_writes_greedily_is_greedy(model):
    prompt = torch.tensor([[CLS, *words(6, seed=10), GMASK]])
    written = model.generate(prompt, do_sample=False, min_new_tokens=5, max_new_tokens=5)[
        0, prompt.shape[1] :
    ].tolist()
    tokens = written[1:] if written[0] == SOP else written
    other = [tokens[0], (tokens[1] + 1) % 64, *tokens[2:]]
    ((greedy, changed),) = score_continuations(model, [(prompt[0].tolist(), [tokens, other])])
    assert greedy.all_greedy
    assert changed.is_greedy[:2] == [True, False]


@given(
    rows=st.lists(
        st.tuples(st.integers(0, 8), st.lists(st.integers(0, 7), min_size=0, max_size=5)), min_size=1, max_size=5
    ),
    batch_size=st.integers(1, 4),
    most=st.integers(1, 12),
)
@settings(max_examples=8, deadline=None)
def test_results_do_not_depend_on_batching_or_splitting(model, rows, batch_size, most):
    asked = [
        ([CLS, *words(length, seed=row), MASK], [words(size, seed=row + 7 * size) for size in sizes])
        for row, (length, sizes) in enumerate(rows)
    ]
    alone = [score_continuations(model, [(context, [one])])[0] for context, many in asked for one in many]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(continuations, "MAX_BRANCH_TOKENS", most)
        patch.setattr(continuations, "MAX_LOGIT_ROWS", most)
        together = score_continuations(model, asked, batch_size=batch_size)
    assert [len(found) for found in together] == [len(many) for _, many in asked]
    assert_same([one for found in together for one in found], [one for (one,) in alone])


def test_skipped_tokens_are_read_and_not_scored(model):
    context, (continuation, *_) = ROWS[0]
    ((whole,),) = score_continuations(model, [(context, [continuation])])
    ((rest,),) = score_continuations(model, [ContinuationRow(context, [continuation], skip=2)])
    assert_same([rest], [ScoredContinuation(whole.log_probs[2:], whole.is_greedy[2:])])
    ((nothing,),) = score_continuations(model, [ContinuationRow(context, [continuation], skip=9)])
    assert nothing == ScoredContinuation([], [])


def test_another_blank_than_the_first_is_scored_by_its_number(model):
    context = [CLS, 20, MASK, 21, 22, GMASK]
    first, last, named = score_continuations(
        model, [ContinuationRow(context, [[30, 31]], blank=blank) for blank in (0, -1, 1)]
    )
    assert_same(last, named)
    torch.testing.assert_close(
        first[0].log_probs, naive_log_probs(model, context, [0], [[30, 31]])[0][:-1], atol=1e-5, rtol=1e-5
    )
    torch.testing.assert_close(
        last[0].log_probs, naive_log_probs(model, context, [1], [[30, 31]])[0][:-1], atol=1e-5, rtol=1e-5
    )
    assert abs(first[0].log_prob - last[0].log_prob) > 1e-3


def test_training_mode_is_left_as_it_was(model):
    model.train()
    score_continuations(model, ROWS[:1])
    assert model.training
    model.eval()


def test_the_multiple_choice_head_scores_alike(model):
    other = GLMForMultipleChoice(tiny_config())
    other.load_state_dict(model.state_dict())
    for mine, theirs in zip(score_continuations(other, ROWS), score_continuations(model, ROWS), strict=True):
        assert_same(mine, theirs)


def test_no_rows_and_no_continuations_have_no_scores(model):
    assert score_continuations(model, []) == []
    assert score_continuations(model, [([CLS, MASK], [])]) == [[]]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (([CLS, 20], [[21]]), "Row 1: The row has 0 mask tokens|Row 1 has 0 mask tokens"),
        (([CLS, *[20] * 48, MASK], [[21]]), "The context has 50 tokens, but the position table holds 49"),
        (([CLS, MASK], [[21], [22] * 49]), "A continuation has 49 tokens, but the position table holds 48"),
    ],
)
def test_rows_that_cannot_be_scored_are_errors_by_number(model, row, message):
    with pytest.raises(RowError, match=message) as caught:
        score_continuations(model, [ROWS[0], row])
    assert caught.value.row == 1


def test_the_longest_rows_fit(model):
    score_continuations(model, [([CLS, *[20] * 47, MASK], [[21] * 48])])


def test_models_without_a_vocabulary_projection_are_refused():
    with pytest.raises(ValueError, match="The model is a GLMModel: expected a GLMForConditionalGeneration"):
        score_continuations(make_model(GLMModel), ROWS)

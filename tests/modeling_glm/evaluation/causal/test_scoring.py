"""Spans scored with a shared beginning are those scored token by token."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import GPT2Config, GPT2LMHeadModel, T5Config, T5ForConditionalGeneration

from modeling_glm.evaluation.causal.scoring import ScoredSpan, check_causal_model, count_shared, score_spans
from modeling_glm.utils.rows import RowError
from tests.support.causal import make_causal_model, naive_span
from tests.support.models import randomise


@pytest.fixture(scope="module")
def model():
    return make_causal_model()


@st.composite
def rows_of_spans(draw):
    """Draw rows whose sequences begin alike for a while, from few ids, so that beginnings meet."""
    ids = st.lists(st.integers(0, 2), min_size=1, max_size=5)
    rows = []
    for _ in range(draw(st.integers(1, 5))):
        begin = draw(st.lists(st.integers(0, 2), max_size=4))
        spans = []
        for _ in range(draw(st.integers(1, 3))):
            sequence = [*begin, *draw(ids), draw(st.integers(0, 2))]
            start = draw(st.integers(1, len(sequence) - 1))
            spans.append(ScoredSpan(sequence, start, draw(st.integers(start + 1, len(sequence)))))
        rows.append(spans)
    return rows


@settings(max_examples=15, deadline=None)
@given(rows=rows_of_spans(), batch_size=st.integers(1, 4))
def test_scores_are_those_of_token_by_token(model, rows, batch_size):
    for row, scored in zip(rows, score_spans(model, rows, batch_size=batch_size), strict=True):
        for span, found in zip(row, scored, strict=True):
            naive = naive_span(model, list(span.ids), span.start, span.stop)
            assert found.log_probs == pytest.approx(naive, abs=1e-4)


def test_a_model_with_other_positions():
    config = GPT2Config(vocab_size=40, n_embd=32, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=0)
    model = randomise(GPT2LMHeadModel(config))
    row = [ScoredSpan([1, 2, 3, 4, 5], 2, 5), ScoredSpan([1, 2, 3, 9], 3, 4), ScoredSpan([7, 2], 1, 2)]
    (found,) = score_spans(model, [row])
    for span, one in zip(row, found, strict=True):
        assert one.log_probs == pytest.approx(naive_span(model, list(span.ids), span.start, span.stop), abs=1e-4)


def test_a_shared_beginning_is_read_once(model):
    read = []
    handle = model.register_forward_pre_hook(
        lambda _, args, kwargs: read.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    rows = [[ScoredSpan([1, 2, 3, last], 3, 4) for last in (4, 5)] for _ in range(3)]
    score_spans(model, [*rows, [ScoredSpan([1, 2, 3, 6, 7], 3, 5), ScoredSpan([1, 2, 3, 8], 3, 4)]])
    handle.remove()
    assert read == [(1, 3), (1, 1)]  # the beginning of all, and token 6


def test_greedy_tokens(model):
    ids = [3, 1, 4]
    with torch.inference_mode():
        likeliest = model(input_ids=torch.tensor([ids])).logits[0, -1].argmax().item()
    other = (likeliest + 1) % 300
    ((first, second),) = score_spans(model, [[ScoredSpan([*ids, likeliest], 3, 4), ScoredSpan([*ids, other], 3, 4)]])
    assert (first.all_greedy, second.all_greedy) == (True, False)


def test_count_shared_leaves_the_last_token():
    assert count_shared([ScoredSpan([1, 2, 3], 1, 3), ScoredSpan([1, 2, 4], 2, 3)]) == 2
    assert count_shared([ScoredSpan([1, 2, 3], 1, 3)]) == 2
    assert count_shared([ScoredSpan([1, 2, 3], 1, 2), ScoredSpan([1, 2, 3], 1, 3)]) == 1
    assert count_shared([ScoredSpan([1, 2], 1, 2), ScoredSpan([2, 2], 1, 2)]) == 0


@pytest.mark.parametrize(("start", "stop"), [(0, 2), (2, 2), (1, 4)])
def test_a_span_needs_a_token_before_it(model, start, stop):
    with pytest.raises(RowError, match=f"Row 1 scores tokens {start} to {stop} of 3") as caught:
        score_spans(model, [[ScoredSpan([1, 2, 3], 1, 3)], [ScoredSpan([1, 2, 3], start, stop)]])
    assert caught.value.row == 1


def test_other_models_are_refused():
    config = T5Config(vocab_size=20, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
    with pytest.raises(ValueError, match="The model is a T5ForConditionalGeneration: expected a causal model"):
        check_causal_model(T5ForConditionalGeneration(config))
    with pytest.raises(ValueError, match="The model is a Linear"):
        check_causal_model(torch.nn.Linear(2, 2))

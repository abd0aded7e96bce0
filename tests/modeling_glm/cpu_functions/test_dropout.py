"""Dropout masks that are drawn quickly: their statistics, their seeds, and what stays as it is in torch."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from modeling_glm.cpu_functions.dropout import draw_kept, dropout


@given(st.floats(0.001, 0.999), st.lists(st.integers(1, 7), min_size=1, max_size=4))
def test_masks_have_the_shape_and_the_mean_stays(probability, shape):
    kept, scale = draw_kept(torch.zeros(shape), probability)
    assert kept.shape == tuple(shape)
    assert kept.dtype == torch.bool
    assert scale * (1 - probability) == pytest.approx(1, rel=0.01)


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_elements_are_dropped_independently_with_the_probability(probability):
    torch.manual_seed(0)
    count = 400_000
    kept, _ = draw_kept(torch.zeros(count), probability)
    deviation = math.sqrt(probability * (1 - probability) / count)
    assert kept.float().mean().item() == pytest.approx(1 - probability, abs=4 * deviation)
    # Four elements share one draw of 64 bits: neighbours are independent within a draw and across draws.
    centred = kept.float() - kept.float().mean()
    for distance in (1, 2, 3, 4, 5, 8):
        correlation = (centred[distance:] * centred[:-distance]).mean() / centred.square().mean()
        assert abs(correlation.item()) < 4 / math.sqrt(count)


def test_draws_follow_the_seed_of_torch():
    masks = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        masks.append(draw_kept(torch.zeros(1001), 0.5)[0])
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])


def test_kept_elements_and_their_gradients_are_scaled():
    torch.manual_seed(0)
    states = torch.rand(50, 40, dtype=torch.float64).add(0.5).requires_grad_()
    dropped = dropout(states, 0.25, training=True)
    dropped.sum().backward()
    kept = dropped != 0
    assert 0.7 < kept.double().mean().item() < 0.8
    torch.testing.assert_close(dropped[kept], states[kept] / 0.75)
    torch.testing.assert_close(states.grad, kept / 0.75, check_dtype=False)


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_nothing_or_everything_is_dropped(probability):
    states = torch.ones(3, 4)
    assert torch.equal(dropout(states, probability, training=True), F.dropout(states, probability))
    assert torch.equal(dropout(states, 0.5, training=False), states)


def test_compiled_dropout_is_that_of_torch():
    compiled = torch.compile(dropout, fullgraph=True, backend="aot_eager")
    results = []
    for function in (compiled, F.dropout):
        torch.manual_seed(0)
        results.append(function(torch.ones(100), 0.5, True))
    assert torch.equal(*results)

"""Dropout whose mask is drawn quickly, and the attention that is used with it."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from modeling_glm import GLMForConditionalGeneration, attention_glm
from modeling_glm.attention_glm import (
    GLMDropout,
    draw_kept,
    eager_attention_forward,
    recomputed_attention_forward,
)
from tests.support.models import make_model


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
    # Four elements share a draw: neither within it nor beyond it do they know of each other.
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


def test_dropout_scales_what_it_keeps_and_its_gradients():
    torch.manual_seed(0)
    states = torch.rand(50, 40, dtype=torch.float64).add(0.5).requires_grad_()
    dropped = GLMDropout(0.25)(states)
    dropped.sum().backward()
    kept = dropped != 0
    assert 0.6 < kept.double().mean().item() < 0.9
    torch.testing.assert_close(dropped[kept], states[kept] / 0.75)
    torch.testing.assert_close(states.grad, kept / 0.75, check_dtype=False)


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_nothing_and_everything_is_dropped(probability):
    states = torch.ones(3, 4)
    assert torch.equal(GLMDropout(probability)(states), F.dropout(states, probability))
    assert torch.equal(GLMDropout(0.5).eval()(states), states)


@pytest.mark.parametrize("given_mask", ["none", "bool", "added"])
def test_attention_without_dropout_is_that_of_torch(given_mask):
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 2, 4, 6, 8).unbind()
    allowed = torch.rand(2, 1, 6, 6) < 0.7
    allowed[..., 0] = True
    mask = {"none": None, "bool": allowed, "added": torch.zeros(2, 1, 6, 6).masked_fill(~allowed, -1e30)}[given_mask]
    before = None if mask is None else mask.clone()
    module = torch.nn.Module().train()
    attended, _ = eager_attention_forward(module, query, key, value, mask, scaling=0.3)
    expected = F.scaled_dot_product_attention(query, key, value, mask, scale=0.3).transpose(1, 2)
    torch.testing.assert_close(attended, expected)
    assert mask is None or torch.equal(mask, before)


def test_attention_with_dropout_has_the_same_mean():
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 1, 2, 5, 4).unbind()
    module = torch.nn.Module().train()
    many = [torch.cat([states] * 4000) for states in (query, key, value)]
    attended, _ = eager_attention_forward(module, *many, None, scaling=0.5, dropout=0.3)
    expected, _ = eager_attention_forward(module, query, key, value, None, scaling=0.5)
    torch.testing.assert_close(attended.mean(0), expected[0], atol=0.05, rtol=0)
    assert (attended[0] != attended[1]).any()


@pytest.mark.parametrize("given_mask", ["none", "bool", "shared", "added"])
@pytest.mark.parametrize("threads", [1, 2])
def test_recomputed_attention_is_the_eager_one_with_the_same_mask_of_dropout(monkeypatch, given_mask, threads):
    """Output and gradients, with what is kept a function of the place alone."""

    def keep(states, probability):
        row = torch.arange(states.numel()).view(states.shape) % (states.shape[-1] * states.shape[-2])
        return row % 3 != 0, 1.5

    monkeypatch.setattr(attention_glm, "draw_kept", keep)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(attention_glm, "CACHED_SCORES", 50)  # so that heads are apart
    torch.manual_seed(0)
    states = torch.randn(3, 2, 5, 6, 8)
    allowed = torch.rand(1 if given_mask == "shared" else 2, 1, 6, 6) < 0.7
    allowed[..., 0] = True
    mask = None if given_mask == "none" else allowed
    if given_mask == "added":
        mask = torch.zeros(2, 1, 6, 6).masked_fill(~allowed, -1e30)
    outer = torch.randn(2, 6, 5, 8)
    module = torch.nn.Module().train()
    found = []
    for attend in (eager_attention_forward, recomputed_attention_forward):
        query, key, value = (part.clone().requires_grad_() for part in states.unbind())
        attended, _ = attend(module, query, key, value, mask, scaling=0.3, dropout=0.3)
        (attended * outer).sum().backward()
        found.append((attended.detach(), query.grad, key.grad, value.grad))
    torch.testing.assert_close(*found, atol=1e-5, rtol=1e-4)


def test_recomputed_attention_keeps_no_scores():
    query, key, value = (torch.randn(1, 4, 64, 8, requires_grad=True) for _ in range(3))
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        recomputed_attention_forward(torch.nn.Module(), query, key, value, None, scaling=1.0, dropout=0.1)
    assert [tensor.dtype for tensor in kept if tensor.numel() == 4 * 64 * 64] == [torch.bool]


def test_training_on_cpus_with_dropout_takes_it_in_place_of_sdpa(monkeypatch):
    called = []
    original = recomputed_attention_forward
    monkeypatch.setattr(
        "modeling_glm.modeling_glm.recomputed_attention_forward",
        lambda *args, **kwargs: called.append(kwargs["dropout"]) or original(*args, **kwargs),
    )
    model = make_model(GLMForConditionalGeneration, attn_implementation="sdpa", attention_dropout=0.1)
    ids = torch.tensor([[2, 11, 3, 12, 6, 13]])
    model.train()(ids)
    assert called == [0.1] * model.config.num_hidden_layers
    called.clear()
    model.eval()(ids)
    with torch.no_grad():
        model.train()(ids)
    with torch.autocast("cpu", torch.bfloat16):
        model.train()(ids)
    for layer in model.glm.transformer.layers:
        layer.attention.attention_dropout = 0.0
    model.train()(ids)
    assert called == []


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_loss_and_gradients_agree_with_those_of_torch_s_attention(monkeypatch, implementation):
    """Without draws: what is kept is told."""
    monkeypatch.setattr(attention_glm, "draw_kept", lambda states, p: (torch.ones_like(states, dtype=torch.bool), 1.0))
    ids = torch.tensor([[2, 11, 3, 12, 1, 6, 13, 14], [2, 3, 14, 12, 1, 6, 15, 16]])
    labels = ids.masked_fill(torch.arange(8) < 5, -100)
    results = []
    for dropout in (0.1, 0.0):
        settings = {"hidden_dropout": dropout, "attention_dropout": dropout, "embedding_dropout": dropout}
        model = make_model(GLMForConditionalGeneration, attn_implementation=implementation, **settings).train()
        loss = model(ids, labels=labels).loss
        loss.backward()
        results.append((loss.detach(), [parameter.grad for parameter in model.parameters()]))
    torch.testing.assert_close(results[0], results[1], atol=1e-5, rtol=1e-4)

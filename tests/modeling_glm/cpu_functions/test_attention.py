"""Recomputed attention, beside the plain attention with the same dropout mask."""

import pytest
import torch

from modeling_glm.attention_glm import eager_attention_forward
from modeling_glm.cpu_functions import attention as cpu_attention
from modeling_glm.cpu_functions.attention import sdpa_attention_forward
from modeling_glm.mlp_glm import EXCHANGEABLE_FUNCTIONS


@pytest.fixture
def same_dropout(monkeypatch):
    """The dropout mask is a function of the place, so that both functions drop the same weights."""

    def keep(states, probability):
        place = torch.arange(states.numel()).view(states.shape) % (states.shape[-1] * states.shape[-2])
        return place % 3 != 0, 1.5

    def dropout(states, probability, training):
        kept, scale = keep(states, probability)
        return states * kept * scale

    monkeypatch.setattr(cpu_attention, "draw_kept", keep)
    monkeypatch.setitem(EXCHANGEABLE_FUNCTIONS, "dropout", dropout)
    monkeypatch.setattr(cpu_attention, "CACHED_SCORES", 50)  # one head at a time


def make_mask(kind: str) -> torch.Tensor | None:
    allowed = torch.rand(1 if kind == "shared" else 2, 1, 6, 6) < 0.7
    allowed[..., 0] = True
    if kind == "added":
        return torch.zeros(2, 1, 6, 6).masked_fill(~allowed, torch.finfo(torch.float32).min)
    return None if kind == "none" else allowed


def attend(function, states, mask, outer) -> list[torch.Tensor]:
    """Return output and gradients."""
    query, key, value = (part.clone().requires_grad_() for part in states)
    attended, _ = function(torch.nn.Module().train(), query, key, value, mask, scaling=0.3, dropout=0.3)
    (attended * outer).sum().backward()
    return [attended.detach(), query.grad, key.grad, value.grad]


@pytest.mark.parametrize("given_mask", ["none", "bool", "shared", "added"])
@pytest.mark.parametrize("threads", [1, 2])
def test_outputs_and_gradients_are_those_of_eager_attention(monkeypatch, same_dropout, given_mask, threads):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    torch.manual_seed(0)
    states, mask, outer = torch.randn(3, 2, 5, 6, 8), make_mask(given_mask), torch.randn(2, 6, 5, 8)
    found = [attend(function, states, mask, outer) for function in (eager_attention_forward, sdpa_attention_forward)]
    torch.testing.assert_close(*found, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("given_mask", ["none", "bool", "shared", "added"])
@pytest.mark.parametrize("autocast", [False, True])
def test_in_bf16_they_are_exact_to_its_rounding(same_dropout, given_mask, autocast):
    torch.manual_seed(0)
    states, mask, outer = (
        torch.randn(3, 2, 5, 6, 8).bfloat16(),
        make_mask(given_mask),
        torch.randn(2, 6, 5, 8).bfloat16(),
    )
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        ours = attend(sdpa_attention_forward, states, mask, outer)
    assert {part.dtype for part in ours} == {torch.bfloat16}
    exact_mask = mask.double().clamp(min=-1e30) if given_mask == "added" else mask
    exact = attend(eager_attention_forward, states.double(), exact_mask, outer.double())
    for found, expected in zip(ours, exact, strict=True):
        torch.testing.assert_close(found.double(), expected, atol=0.03, rtol=0.02)


def test_a_query_that_sees_nothing_stays_finite_in_bf16():
    states = torch.randn(3, 1, 2, 4, 8).bfloat16()
    outer = torch.ones(1, 4, 2, 8).bfloat16()
    for mask in (torch.zeros(1, 1, 4, 4, dtype=torch.bool), torch.full((1, 1, 4, 4), torch.finfo(torch.float32).min)):
        assert all(part.isfinite().all() for part in attend(sdpa_attention_forward, states, mask, outer))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_scores_are_not_kept(dtype):
    query, key, value = (torch.randn(1, 4, 64, 8, dtype=dtype, requires_grad=True) for _ in range(3))
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        sdpa_attention_forward(torch.nn.Module(), query, key, value, None, scaling=1.0, dropout=0.1)
    assert [tensor.dtype for tensor in kept if tensor.numel() == 4 * 64 * 64] == [torch.bool]


@pytest.mark.parametrize("case", ["no dropout", "fp16"])
def test_the_library_attends_in_all_other_cases(monkeypatch, case):
    called = []
    monkeypatch.setitem(
        cpu_attention.ALL_ATTENTION_FUNCTIONS, "sdpa", lambda *args, **kwargs: called.append(kwargs) or (None, None)
    )
    dtype = torch.float16 if case == "fp16" else torch.float32
    query = torch.randn(1, 2, 3, 4, dtype=dtype, requires_grad=True)
    dropout = 0.0 if case == "no dropout" else 0.1
    sdpa_attention_forward(torch.nn.Module(), query, query, query, None, scaling=0.5, dropout=dropout, marker=1)
    assert called == [{"scaling": 0.5, "dropout": dropout, "marker": 1}]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dropout_is_the_same_with_and_without_gradients(dtype):
    query, key, value = torch.randn(3, 2, 4, 6, 8, dtype=dtype)
    attended = []
    for gradients in (True, False):
        torch.manual_seed(0)
        inputs = [states.clone().requires_grad_(gradients) for states in (query, key, value)]
        attended.append(sdpa_attention_forward(torch.nn.Module(), *inputs, None, scaling=0.5, dropout=0.3)[0].detach())
    assert torch.equal(*attended)

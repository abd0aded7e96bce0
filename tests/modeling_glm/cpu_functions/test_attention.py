"""Recomputed attention, beside the plain attention with the same dropout mask."""

import pytest
import torch

from modeling_glm.attention_glm import eager_attention_forward
from modeling_glm.cpu_functions import attention as cpu_attention
from modeling_glm.cpu_functions.attention import sdpa_attention_forward
from modeling_glm.mlp_glm import EXCHANGEABLE_FUNCTIONS


@pytest.mark.parametrize("given_mask", ["none", "bool", "shared", "added"])
@pytest.mark.parametrize("threads", [1, 2])
def test_outputs_and_gradients_are_those_of_eager_attention(monkeypatch, given_mask, threads):
    """The dropout mask is a function of the place, so that both drop the same weights."""

    def keep(states, probability):
        place = torch.arange(states.numel()).view(states.shape) % (states.shape[-1] * states.shape[-2])
        return place % 3 != 0, 1.5

    def dropout(states, probability, training):
        kept, scale = keep(states, probability)
        return states * kept * scale

    monkeypatch.setattr(cpu_attention, "draw_kept", keep)
    monkeypatch.setitem(EXCHANGEABLE_FUNCTIONS, "dropout", dropout)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(cpu_attention, "CACHED_SCORES", 50)  # one head at a time
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
    for attend in (eager_attention_forward, sdpa_attention_forward):
        query, key, value = (part.clone().requires_grad_() for part in states.unbind())
        attended, _ = attend(module, query, key, value, mask, scaling=0.3, dropout=0.3)
        (attended * outer).sum().backward()
        found.append((attended.detach(), query.grad, key.grad, value.grad))
    torch.testing.assert_close(*found, atol=1e-5, rtol=1e-4)


def test_scores_are_not_kept():
    query, key, value = (torch.randn(1, 4, 64, 8, requires_grad=True) for _ in range(3))
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        sdpa_attention_forward(torch.nn.Module(), query, key, value, None, scaling=1.0, dropout=0.1)
    assert [tensor.dtype for tensor in kept if tensor.numel() == 4 * 64 * 64] == [torch.bool]


@pytest.mark.parametrize("case", ["no dropout", "bf16"])
def test_the_library_attends_in_all_other_cases(monkeypatch, case):
    called = []
    monkeypatch.setitem(
        cpu_attention.ALL_ATTENTION_FUNCTIONS, "sdpa", lambda *args, **kwargs: called.append(kwargs) or (None, None)
    )
    dtype = torch.bfloat16 if case == "bf16" else torch.float32
    query = torch.randn(1, 2, 3, 4, dtype=dtype, requires_grad=True)
    dropout = 0.0 if case == "no dropout" else 0.1
    sdpa_attention_forward(torch.nn.Module(), query, query, query, None, scaling=0.5, dropout=dropout, marker=1)
    assert called == [{"scaling": 0.5, "dropout": dropout, "marker": 1}]


def test_dropout_is_the_same_with_and_without_gradients():
    query, key, value = torch.randn(3, 2, 4, 6, 8)
    attended = []
    for gradients in (True, False):
        torch.manual_seed(0)
        inputs = [states.clone().requires_grad_(gradients) for states in (query, key, value)]
        attended.append(sdpa_attention_forward(torch.nn.Module(), *inputs, None, scaling=0.5, dropout=0.3)[0].detach())
    assert torch.equal(*attended)

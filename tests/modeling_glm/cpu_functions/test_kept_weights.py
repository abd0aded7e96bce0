"""Attention that keeps its weights in bf16, beside the eager function."""

import pytest
import torch

from modeling_glm.attention_glm import ALL_ATTENTION_FUNCTIONS, eager_attention_forward
from modeling_glm.cpu_functions import kept_weights
from modeling_glm.cpu_functions.kept_weights import KeptAttention, eager_attention, keeps_weights

MODULE = torch.nn.Module().train()


def make_mask(kind: str) -> torch.Tensor | None:
    allowed = torch.rand(1 if kind == "shared" else 2, 1, 5, 6) < 0.7
    allowed[..., 0] = True
    if kind in ("added", "added in fp32"):
        dtype = torch.float32 if kind == "added in fp32" else torch.bfloat16
        return torch.zeros(2, 1, 5, 6, dtype=dtype).masked_fill(~allowed, torch.finfo(dtype).min)
    return None if kind == "none" else allowed


def attend(function, states, mask, outer, for_weights=None) -> list[torch.Tensor]:
    """Return output, weights and gradients, in fp64."""
    query, key, value = (part.clone().requires_grad_() for part in states)
    attended, weights = function(MODULE, query, key, value, mask, scaling=0.3)
    loss = (attended * outer.to(attended.dtype)).sum()
    if for_weights is not None:
        loss = loss + (weights * for_weights.to(weights.dtype)).sum()
    loss.backward()
    return [part.detach().double() for part in (attended, weights, query.grad, key.grad, value.grad)]


@pytest.mark.parametrize("kind", ["none", "bool", "shared", "added", "added in fp32"])
@pytest.mark.parametrize("weighted", [False, True])
def test_outputs_and_gradients_are_those_of_eager_attention(kind, weighted):
    torch.manual_seed(0)
    states = torch.randn(2, 3, 5, 8).bfloat16(), torch.randn(2, 3, 6, 8).bfloat16(), torch.randn(2, 3, 6, 8).bfloat16()
    mask, outer = make_mask(kind), torch.randn(2, 5, 3, 8).bfloat16()
    for_weights = torch.randn(2, 3, 5, 6).bfloat16() if weighted else None
    with torch.autocast("cpu", torch.bfloat16):
        ours = attend(eager_attention, states, mask, outer, for_weights)
    exact_mask = mask if mask is None or mask.dtype == torch.bool else mask.double().clamp(min=-1e30)
    exact = attend(
        eager_attention_forward, [part.double() for part in states], exact_mask, outer.double(), for_weights
    )
    for found, expected in zip(ours, exact, strict=True):
        torch.testing.assert_close(found, expected, atol=0.03, rtol=0.02)


def test_in_fp32_they_are_equal_to_rounding(monkeypatch):
    """The same formulas without the roundings of bf16."""
    monkeypatch.setattr(kept_weights, "keeps_weights", lambda *_: True)
    torch.manual_seed(0)
    states = torch.randn(2, 3, 5, 8), torch.randn(2, 3, 6, 8), torch.randn(2, 3, 6, 8)
    mask, outer, for_weights = make_mask("bool"), torch.randn(2, 5, 3, 8), torch.randn(2, 3, 5, 6)
    ours = attend(eager_attention, states, mask, outer, for_weights)
    torch.testing.assert_close(
        ours, attend(eager_attention_forward, states, mask, outer, for_weights), atol=1e-5, rtol=1e-4
    )


def test_gradients_through_the_weights_alone():
    torch.manual_seed(0)
    query, key, value = (torch.randn(1, 2, 4, 8).bfloat16().requires_grad_() for _ in range(3))
    _, weights = KeptAttention.apply(query, key, value, None, 0.3)
    (weights**2).sum().backward()
    assert value.grad is None
    assert query.grad.abs().sum() > 0
    assert key.grad.abs().sum() > 0


def test_a_query_that_sees_nothing_sees_all_alike():
    query, key, value = torch.randn(3, 1, 2, 4, 8).bfloat16()
    allowed = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    for mask in (allowed, torch.full((1, 1, 4, 4), torch.finfo(torch.float32).min)):
        _, weights = KeptAttention.apply(query, key, value, mask, 0.3)
        assert (weights == 0.25).all()


@pytest.mark.parametrize(
    ("case", "expected"),
    [("short", True), ("evaluation", False), ("dropout", False), ("fp32", False), ("fp16", False), ("long", False)],
)
def test_when_weights_are_kept(case, expected):
    dtype = {"fp32": torch.float32, "fp16": torch.float16}.get(case, torch.bfloat16)
    query, key = (
        torch.empty(1, 2, 3, 4, dtype=dtype),
        torch.empty(1, 2, 513 if case == "long" else 512, 4, dtype=dtype),
    )
    module = torch.nn.Module().train(case != "evaluation")
    assert keeps_weights(module, query, key, 0.1 if case == "dropout" else 0.0) == expected


def test_sdpa_returns_no_weights():
    query, key, value = torch.randn(3, 1, 2, 4, 8).bfloat16()
    attended, weights = ALL_ATTENTION_FUNCTIONS["sdpa"](MODULE, query, key, value, None, scaling=0.3)
    assert weights is None
    assert torch.equal(attended, KeptAttention.apply(query, key, value, None, 0.3)[0])

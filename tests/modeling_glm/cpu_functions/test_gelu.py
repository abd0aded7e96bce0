"""The tanh form of GELU with its slope, beside torch's in fp64."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from transformers.activations import ACT2FN

from modeling_glm.cpu_functions import gelu as module
from modeling_glm.cpu_functions.gelu import GELUWithSlope, compute_gelu, is_tanh_gelu


def reference(states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    exact = states.double().requires_grad_()
    activated = F.gelu(exact, approximate="tanh")
    activated.sum().backward()
    return activated.detach(), exact.grad


@given(st.lists(st.floats(-1e6, 1e6, width=32), max_size=20))
def test_values_are_those_of_fp64(values):
    states = torch.tensor(values, dtype=torch.float32)
    for ours, expected in zip(compute_gelu(states), reference(states), strict=True):
        torch.testing.assert_close(ours.double(), expected, atol=3e-6, rtol=1e-6)


@pytest.mark.parametrize("cached", [7, 64, 2**17])
@pytest.mark.parametrize("threads", [1, 3])
def test_parts_of_any_size_are_put_together(monkeypatch, cached, threads):
    monkeypatch.setattr(module, "CACHED_ELEMENTS", cached)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    torch.manual_seed(0)
    states = (3 * torch.randn(5, 4, 9)).bfloat16().transpose(0, 1)  # not contiguous
    for ours, expected in zip(compute_gelu(states), reference(states), strict=True):
        assert (ours.shape, ours.dtype) == (states.shape, torch.bfloat16)
        # bf16 has 8 bits: one rounding is at most 2^-9 of the value
        torch.testing.assert_close(ours.double(), expected, atol=1e-5, rtol=2**-8)


def test_the_backward_pass_multiplies_by_the_slope():
    torch.manual_seed(0)
    states = torch.randn(6, 8, requires_grad=True)
    outer = torch.randn(6, 8)
    (GELUWithSlope.apply(states) * outer).sum().backward()
    torch.testing.assert_close(states.grad.double(), reference(states.detach())[1] * outer, atol=1e-5, rtol=1e-5)


def test_no_rows():
    activated, slope = compute_gelu(torch.empty(0, 8))
    assert activated.shape == slope.shape == (0, 8)


def test_other_activations_are_not_replaced():
    assert is_tanh_gelu(ACT2FN["gelu_pytorch_tanh"])
    assert is_tanh_gelu(nn.GELU(approximate="tanh"))
    assert not is_tanh_gelu(nn.GELU())
    assert not is_tanh_gelu(ACT2FN["gelu"])
    assert not is_tanh_gelu(ACT2FN["relu"])
    watched = nn.GELU(approximate="tanh")
    watched.register_forward_hook(lambda *_: None)
    assert not is_tanh_gelu(watched)

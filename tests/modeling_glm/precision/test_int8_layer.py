"""A linear layer of int8 against the same arithmetic in float64."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from modeling_glm.precision import int8_layer
from modeling_glm.precision.int8_layer import Int8Linear, input_levels, why_no_int8


def make_linear(inputs: int = 48, outputs: int = 80, bias: bool = True, seed: int = 0) -> nn.Linear:
    generator = torch.Generator().manual_seed(seed)
    linear = nn.Linear(inputs, outputs, bias=bias).requires_grad_(False)
    # Every output has a range of its own, so that a scale for all of them would show.
    linear.weight.copy_(torch.randn(outputs, inputs, generator=generator) * torch.logspace(-2, 1, outputs)[:, None])
    if bias:
        linear.bias.copy_(torch.randn(outputs, generator=generator))
    return linear


def naive(linear: nn.Linear, states: torch.Tensor, levels: int) -> torch.Tensor:
    """Round weights by output and inputs by token, and multiply in float64."""
    weight, states = linear.weight.double(), states.double()
    step = weight.abs().amax(1, keepdim=True) / 127
    rounded = (weight / step).round() * step
    unit = states.abs().amax(-1, keepdim=True).clamp(min=1e-30) / levels
    outputs = ((states / unit).round() * unit) @ rounded.T
    return outputs if linear.bias is None else outputs + linear.bias


def steps_apart(found: torch.Tensor, expected: torch.Tensor, linear: nn.Linear, states: torch.Tensor) -> float:
    """Measure the largest difference, in what an output changes if one input is rounded to the other side."""
    one = states.abs().amax(-1, keepdim=True).double() / 63 * linear.weight.abs().amax(1).double()
    return float(((found - expected).abs() / one.clamp(min=1e-30)).max())


@pytest.mark.parametrize("levels", [127, 63])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1,), (5,), (2, 3), (300,)])
def test_it_rounds_by_output_and_by_token(levels, bias, shape):
    if levels > input_levels():
        pytest.skip("this CPU adds two products in 16 bits, which 127 levels overflow")
    linear = make_linear(bias=bias)
    states = torch.randn(*shape, 48, generator=torch.Generator().manual_seed(1))
    found = Int8Linear(linear, levels)(states)
    assert found.shape == (*shape, 80)
    assert found.dtype == torch.float32
    # Inputs halfway between two steps may be rounded to either.
    assert steps_apart(found, naive(linear, states, levels), linear, states) < 1.01
    assert 0 < float((found - linear(states)).norm()) < 0.03 * float(linear(states).norm())


@given(scale=st.floats(-20, 20), rows=st.integers(1, 9), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_a_token_does_not_depend_on_the_others(scale, rows, seed):
    layer = Int8Linear(make_linear())
    generator = torch.Generator().manual_seed(seed)
    states = torch.randn(rows, 48, generator=generator) * 10 ** (scale * torch.rand(rows, 1, generator=generator))
    together = layer(states)
    alone = torch.cat([layer(row[None]) for row in states])
    assert torch.equal(together, alone)


def test_extreme_tokens():
    layer = Int8Linear(make_linear())
    states = torch.zeros(4, 48)
    states[1], states[2, 3], states[3, 3] = 1e-35, float("inf"), float("nan")
    found = layer(states)
    torch.testing.assert_close(found[:2], layer.bias.expand(2, -1))
    assert not found[2:].isfinite().any()  # as in fp32, what went wrong before is not hidden
    assert layer(states[:0]).shape == (0, 80)
    silent = make_linear(bias=False)
    silent.weight[7] = 0
    assert Int8Linear(silent)(torch.randn(3, 48))[:, 7].tolist() == [0, 0, 0]


def test_inputs_of_other_types_become_floats():
    layer, states = Int8Linear(make_linear()), torch.randn(3, 48).bfloat16()
    assert torch.equal(layer(states), layer(states.float()))


def test_rounded_weights_can_be_read():
    linear = make_linear()
    step = linear.weight.abs().amax(1) / 127
    difference = (Int8Linear(linear).dequantized_weight() - linear.weight).abs()
    assert bool((difference <= 0.501 * step[:, None]).all())
    assert float(difference.max()) > 0


def test_copies_share_the_weights():
    layer = Int8Linear(make_linear())
    copied, states = copy.deepcopy(layer), torch.randn(3, 48)
    assert torch.equal(copied(states), layer(states))
    copied.bias += 1
    assert not torch.equal(copied(states), layer(states))
    assert repr(copied) == "Int8Linear(in_features=48, out_features=80, bias=True)"


def test_it_has_no_gradients():
    layer = Int8Linear(make_linear())
    with pytest.raises(ValueError, match="cannot be trained"):
        layer(torch.randn(3, 48, requires_grad=True))
    with torch.no_grad():
        assert layer(torch.randn(3, 48, requires_grad=True)).shape == (3, 80)
    with pytest.raises(ValueError, match="cannot be trained"):
        layer.train()(torch.randn(3, 48))


@pytest.mark.parametrize(
    "move", [lambda layer: layer.to("meta"), lambda layer: layer.half(), lambda layer: layer.double()]
)
def test_it_stays_in_float32_on_the_cpu(move):
    layer = Int8Linear(make_linear())
    with pytest.raises(ValueError, match="computes in float32 on the CPU"):
        move(layer)
    assert layer.float().to("cpu") is layer


def test_parameters_are_refused():
    with pytest.raises(ValueError, match="change the model in fp32"):
        Int8Linear(make_linear()).weight = nn.Parameter(torch.zeros(80, 48))


@pytest.mark.parametrize(
    ("instructions", "levels"), [(("AVX2",), 63), ((), 63), (("AVX2", "VNNI"), 127), (("AVX2", "AMX"), 127)]
)
def test_cpus_without_dot_products_of_8_bits_use_7(monkeypatch, instructions, levels):
    monkeypatch.setattr(int8_layer, "cpu_instructions", lambda: instructions)
    assert input_levels() == Int8Linear(make_linear()).levels == levels


def test_machines_without_int8(monkeypatch):
    assert why_no_int8() is None
    monkeypatch.delattr(torch, "quantize_per_channel")
    assert "has no quantize_per_channel" in why_no_int8()


def test_engines(monkeypatch):
    linear, states = make_linear(), torch.randn(3, 48)
    expected = Int8Linear(linear)(states)
    for engine in torch.backends.quantized.supported_engines:
        monkeypatch.setattr(torch.backends.quantized, "engine", engine)
        assert (why_no_int8() is None) == (engine in int8_layer.ENGINES)
    for engine in int8_layer.ENGINES:
        monkeypatch.setattr(torch.backends.quantized, "engine", engine)
        assert torch.equal(Int8Linear(linear)(states), expected)

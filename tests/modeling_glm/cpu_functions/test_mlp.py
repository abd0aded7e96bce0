"""The second half of the MLP, which computes its activations again in the backward pass."""

import copy

import pytest
import torch
from torch import nn

from modeling_glm import GLMForConditionalGeneration
from modeling_glm.cpu_functions.mlp import is_recomputed, project_recomputed
from modeling_glm.mlp_glm import EXCHANGEABLE_FUNCTIONS, project_activated
from tests.support.models import make_model

WIDE, NARROW = 24, 6


def make_projection(**how) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(WIDE, NARROW, **how)


def kept_by(projection: nn.Module, states: torch.Tensor) -> list[torch.Tensor]:
    """Collect the tensors of the size of the activations that the backward pass needs."""
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        project_recomputed(projection, nn.GELU(), states)
    return [tensor for tensor in kept if tensor.numel() == states.numel()]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("frozen", [(), ("weight",), ("weight", "bias"), ("bias",)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_output_and_gradients_are_those_of_the_plain_layers(bias, frozen, dtype):
    projection, activation = make_projection(bias=bias, dtype=dtype), nn.GELU(approximate="tanh")
    for name in frozen:
        if getattr(projection, name) is not None:
            getattr(projection, name).requires_grad_(False)
    plain = copy.deepcopy(projection)
    states = torch.randn(2, 3, WIDE, dtype=dtype)
    outer = torch.randn(2, 3, NARROW, dtype=dtype)
    found = []
    for layer, project in ((projection, project_recomputed), (plain, project_activated)):
        given = states.clone().requires_grad_()
        projected = project(layer, activation, given)
        (projected * outer).sum().backward()
        found.append([projected.detach(), given.grad, *(parameter.grad for parameter in layer.parameters())])
    for ours, expected in zip(*found, strict=True):
        assert (ours is None) == (expected is None)
        if ours is not None:
            torch.testing.assert_close(ours, expected)


def test_activations_are_not_kept():
    states = torch.randn(5, 3, WIDE, requires_grad=True)
    assert len(kept_by(make_projection(), states)) == 1
    assert len(kept_by(make_projection().eval(), states)) == 2


def test_compiled_code_recomputes_nothing():
    layers, states, found = (make_projection(), nn.GELU()), torch.randn(5, WIDE), []
    assert is_recomputed(*layers, states)
    torch.compile(lambda states: found.append(is_recomputed(*layers, states)) or states + 1, backend="eager")(states)
    assert found == [False]


@pytest.mark.parametrize("how", ["hook", "pre-hook", "patched forward", "class of its own", "other dtype"])
def test_a_projection_that_is_not_plain_is_called(how):
    called = []

    class Watched(nn.Linear):
        def forward(self, states):
            called.append(states)
            return super().forward(states)

    projection = make_projection()
    if how == "hook":
        projection.register_forward_hook(lambda module, inputs, output: called.append(output))
    elif how == "pre-hook":
        projection.register_forward_pre_hook(lambda module, inputs: called.append(inputs))
    elif how == "patched forward":
        original = projection.forward
        projection.forward = lambda states: called.append(states) or original(states)
    elif how == "class of its own":
        projection = Watched(WIDE, NARROW)
    else:
        projection = projection.to(torch.float64)
        with pytest.raises(RuntimeError, match="dtype"):
            project_recomputed(projection, nn.GELU(), torch.randn(1, WIDE, requires_grad=True))
        return
    project_recomputed(projection, nn.GELU(), torch.randn(1, WIDE, requires_grad=True))
    assert len(called) == 1


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("autocast", [False, True])
def test_a_model_has_the_gradients_of_plain_layers(monkeypatch, checkpointing, autocast):
    ids = torch.tensor([[2, 11, 3, 12, 6, 13, 14]])
    labels = torch.tensor([[-100, -100, -100, -100, 13, 14, 7]])
    found = []
    for recomputed in (True, False):
        model = make_model(GLMForConditionalGeneration).train()
        if checkpointing:
            # its name in newer versions of Transformers
            getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)()
        if not recomputed:
            monkeypatch.setitem(EXCHANGEABLE_FUNCTIONS, "project_activated", project_activated)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss = model(ids, labels=labels).loss
        loss.backward()
        found.append([loss.detach(), *(parameter.grad for parameter in model.parameters())])
    for ours, expected in zip(*found, strict=True):
        # In bf16 the slope is rounded in another place.
        assert (ours - expected).norm() <= (0.02 if autocast else 1e-6) * expected.norm() + 1e-6

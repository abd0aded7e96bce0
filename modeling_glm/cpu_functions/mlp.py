"""
The second half of the MLP for training on CPUs. It computes its activations again in the backward pass; in bf16 autocast
it computes the slope of GELU together with them.
"""

import torch
from torch import nn

from ..mlp_glm import project_activated
from .gelu import GELUWithSlope, is_tanh_gelu
from .plain import is_plain


def project_recomputed(projection: nn.Linear, activation: nn.Module, states: torch.Tensor) -> torch.Tensor:
    """
    Compute `projection(activation(states))`, and keep no activations in training on CPUs.

    The activations are a fifth of what a layer keeps for the backward pass. To compute them again takes no longer than
    to fetch fresh memory for them. In bf16 autocast they are kept, in half of the memory: matmuls are so fast there that
    the time of GELU counts.

    Args:
        projection: The layer behind the activation function.
        activation: The activation function.
        states: (..., intermediate).

    Returns:
        (..., hidden).
    """
    if is_recomputed(projection, activation, states):
        return RecomputedActivation.apply(states, projection.weight, projection.bias, activation)
    if has_fast_slope(projection, activation, states):
        return projection(GELUWithSlope.apply(states))
    return project_activated(projection, activation, states)


def is_recomputed(projection: nn.Linear, activation: nn.Module, states: torch.Tensor) -> bool:
    """
    Return whether this is training on CPUs, and calling `projection` would only multiply and add.

    The answer does not depend on gradients, as in `attention.is_recomputed`.
    """
    return (
        projection.training
        and states.device.type == "cpu"
        and not any(True for _ in activation.parameters())
        and not torch.compiler.is_compiling()
        and is_plain(projection, states)
    )


def has_fast_slope(projection: nn.Linear, activation: nn.Module, states: torch.Tensor) -> bool:
    """Return whether this is training on CPUs with bf16 activations and the tanh form of GELU."""
    return (
        projection.training
        and states.device.type == "cpu"
        and states.dtype == torch.bfloat16
        and is_tanh_gelu(activation)
        and not torch.compiler.is_compiling()
    )


class RecomputedActivation(torch.autograd.Function):
    """Compute `linear(activation(states), weight, bias)`, and keep only the states."""

    @staticmethod
    def forward(ctx, states, weight, bias, activation: nn.Module):
        ctx.save_for_backward(states, weight)
        ctx.activation = activation
        return nn.functional.linear(activation(states), weight, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        states, weight = ctx.saved_tensors
        with torch.enable_grad():
            states = states.detach().requires_grad_()
            # `forward` calls no hooks: those of counters of operations expect one call per step.
            activated = ctx.activation.forward(states)
        gradients: list[torch.Tensor | None] = [None] * 4
        rows = gradient.flatten(0, -2)
        if ctx.needs_input_grad[0]:
            (gradients[0],) = torch.autograd.grad(activated, states, gradient @ weight)
        if ctx.needs_input_grad[1]:
            gradients[1] = rows.t() @ activated.detach().flatten(0, -2)
        if ctx.needs_input_grad[2]:
            gradients[2] = rows.sum(0)
        return tuple(gradients)


__all__ = ["RecomputedActivation", "has_fast_slope", "is_recomputed", "project_recomputed"]

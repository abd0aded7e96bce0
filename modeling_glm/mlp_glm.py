"""The half of the MLP behind its activation, which in training on CPUs keeps no activations."""

import torch
from torch import nn


def project_activated(projection: nn.Linear, activation: nn.Module, states: torch.Tensor) -> torch.Tensor:
    """
    `projection(activation(states))`. In training on CPUs the activations are computed again in the backward pass, which
    takes as long as fetching fresh memory for them: they are a fifth of all that a layer keeps.

    Args:
        states: (..., intermediate).

    Returns:
        (..., hidden).
    """
    if _is_recomputed(projection, activation, states):
        return RecomputedActivation.apply(states, projection.weight, projection.bias, activation)
    return projection(activation(states))


def _is_recomputed(projection: nn.Linear, activation: nn.Module, states: torch.Tensor) -> bool:
    """
    Where a projection is no longer the plain one, as with adapters, quantized or split over devices, or somebody looks
    at what it is given, it is called.
    """
    training = projection.training and states.device.type == "cpu" and states.requires_grad and torch.is_grad_enabled()
    plain = type(projection).forward is nn.Linear.forward and type(projection.weight) is nn.Parameter
    watched = projection._forward_hooks or projection._forward_pre_hooks or "forward" in vars(projection)
    return (
        training
        and plain
        and not watched
        and projection.weight.dtype == states.dtype
        and not any(True for _ in activation.parameters())
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )


class RecomputedActivation(torch.autograd.Function):
    """`linear(activation(states), weight, bias)` that keeps the states alone."""

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
            # Its forward alone: hooks on modules, as of counters of operations, are not for a backward pass.
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

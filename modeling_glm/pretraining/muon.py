"""A step of Muon in fp32, for CPUs without bf16 arithmetic, on which that of torch takes many times as long."""

import math
from collections.abc import Sequence

import torch

from ..precision.cpu import cpu_instructions


def lacks_bf16(parameters: Sequence[torch.Tensor]) -> bool:
    """Return whether parameters are on a CPU that is not known to compute in bf16, as `torch.optim.Muon` does everywhere."""
    return all(parameter.device.type == "cpu" for parameter in parameters) and "BF16" not in cpu_instructions()


def orthogonalize(
    matrix: torch.Tensor, coefficients: tuple[float, float, float], steps: int, eps: float
) -> torch.Tensor:
    """
    Bring the singular values of a matrix near 1 by Newton-Schulz iterations (Jordan 2024).

    Args:
        matrix: (rows, columns) float32.
        coefficients: Of the polynomial a x + b x^3 + c x^5, which every iteration applies to the singular values.
        steps: Number of iterations.
        eps: The least norm that the matrix is divided by.

    Returns:
        (rows, columns) float32.
    """
    linear, cubic, quintic = coefficients
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide / wide.norm().clamp(min=eps)
    for _ in range(steps):
        squares = wide @ wide.T
        wide = linear * wide + (cubic * squares + quintic * squares @ squares) @ wide
    return wide if matrix.shape[0] <= matrix.shape[1] else wide.T


@torch.no_grad()
def step_in_fp32(optimizer: torch.optim.Optimizer) -> None:
    """Update the parameters of a `torch.optim.Muon` as its `step` does, with its options and state, but in fp32."""
    for group in optimizer.param_groups:
        rate, momentum = float(group["lr"]), group["momentum"]
        for parameter in group["params"]:
            if parameter.grad is None:
                continue
            state = optimizer.state[parameter]
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = torch.zeros_like(parameter.grad)
            average = state["momentum_buffer"].lerp_(parameter.grad, 1 - momentum)
            update = parameter.grad.lerp(average, momentum) if group["nesterov"] else average
            update = orthogonalize(update.float(), group["ns_coefficients"], group["ns_steps"], group["eps"])
            # As large as an update of AdamW (Liu et al. 2025, section 2.2).
            scale = 0.2 * math.sqrt(max(parameter.shape))
            parameter.mul_(1 - rate * group["weight_decay"]).sub_(update, alpha=rate * scale)


__all__ = ["lacks_bf16", "orthogonalize", "step_in_fp32"]

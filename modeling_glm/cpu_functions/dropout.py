"""Dropout whose mask is drawn several times faster on CPUs."""

import torch
from torch.nn import functional as F

# 16 random bits per element; the probability is exact to 8e-6.
LEVELS = 2**16


def dropout(states: torch.Tensor, p: float, training: bool) -> torch.Tensor:
    """
    Apply dropout as `torch.nn.functional.dropout` does, with a mask that is drawn faster on CPUs.

    Args:
        states: A tensor of any shape.
        p: Probability of dropping an element.
        training: Whether to drop anything at all.
    """
    if not training or not 0 < p < 1 or not draws_quickly(states):
        return F.dropout(states, p, training)
    kept, scale = draw_kept(states, p)
    return states * kept.view(torch.uint8) * scale


def draws_quickly(states: torch.Tensor) -> bool:
    """Return whether `draw_kept` may be used: on CPUs, where torch draws one number at a time, and in eager mode."""
    return states.device.type == "cpu" and not torch.compiler.is_compiling()


def draw_kept(states: torch.Tensor, probability: float) -> tuple[torch.Tensor, float]:
    """
    Draw which elements dropout keeps. One draw of 64 bits from torch's generator decides for four elements.

    Args:
        states: Only its shape is read.
        probability: Probability of dropping an element, between 0 and 1.

    Returns:
        A bool tensor of the shape of `states`, and the factor that keeps the mean. Multiply by the bools seen as bytes
        (`view(torch.uint8)`): torch converts bytes to floats several times faster than bools.
    """
    dropped = min(max(round(probability * LEVELS), 1), LEVELS - 1)
    count = states.numel()
    # 64 random bits -> four int16 in -32768 ... 32767; an element is kept when its number reaches the threshold.
    words = torch.empty((count + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    kept = words.view(torch.int16)[:count] >= dropped - LEVELS // 2
    return kept.view(states.shape), LEVELS / (LEVELS - dropped)


__all__ = ["draw_kept", "draws_quickly", "dropout"]

"""Attention without dropout for training in bf16 on CPUs: few passes over the scores, all of them in bf16."""

from typing import Any

import torch
from torch import nn

from ..attention_glm import additive_mask, eager_attention_forward

# Longest rows of keys. All scores of a layer are kept, which takes too much memory for longer rows.
LONGEST = 512


def keeps_weights(module: nn.Module, query: torch.Tensor, key: torch.Tensor, dropout: float) -> bool:
    """
    Return whether `KeptAttention` is the fastest: in training in bf16 on CPUs, without dropout, for short rows.

    Torch's SDPA is slow there in the backward pass, and the eager function runs over the scores in fp32.
    """
    return (
        module.training
        and not dropout
        and query.device.type == "cpu"
        and query.dtype == torch.bfloat16
        and key.shape[2] <= LONGEST
        and not torch.compiler.is_compiling()
    )


def eager_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Attend as `attention_glm.eager_attention_forward` does; by `KeptAttention` where that is the fastest.

    Args:
        module: The attention layer.
        query: (batch, heads, seq, head_dim).
        key, value: (batch, heads, keys, head_dim).
        attention_mask: Broadcasts to (batch, heads, seq, keys): bool with True = may attend, or added to the scores.
        scaling: Factor of the scores.
        dropout: Probability of dropping an attention weight.

    Returns:
        (batch, seq, heads, head_dim), and the attention weights (batch, heads, seq, keys).
    """
    if keeps_weights(module, query, key, dropout):
        return KeptAttention.apply(query, key, value, attention_mask, scaling)
    return eager_attention_forward(module, query, key, value, attention_mask, scaling, dropout, **kwargs)


def finite_mask(mask: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Turn a mask, bool or added to the scores, into one that is added to scores of a dtype and has no infinities there."""
    lowest = torch.finfo(dtype).min  # that of fp32 would be -inf in bf16
    return additive_mask(mask, dtype).clamp(min=lowest).to(dtype)


class KeptAttention(torch.autograd.Function):
    """
    Attention that keeps its weights for the backward pass.

    Softmax computes in fp32 and rounds once, so the weights differ from those of a softmax in fp32 by this rounding only.
    """

    @staticmethod
    def forward(ctx, query, key, value, mask, scaling):
        ctx.set_materialize_grads(False)
        with torch.autocast("cpu", enabled=False):  # it would compute the softmax in fp32 tensors
            scores = torch.matmul(query, key.transpose(-1, -2))  # (batch, heads, seq, keys)
            if mask is None:
                scores.mul_(scaling)
            else:
                torch.add(finite_mask(mask, scores.dtype), scores, alpha=scaling, out=scores)
            weights = torch.softmax(scores, dim=-1)
            attended = torch.matmul(weights, value).transpose(1, 2).contiguous()
        ctx.save_for_backward(query, key, value, weights)
        ctx.scaling = scaling
        return attended, weights

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient, for_weights):
        query, key, value, weights = ctx.saved_tensors
        for_value = None
        if gradient is not None:
            outer = gradient.transpose(1, 2)
            through_value = torch.matmul(outer, value.transpose(-1, -2))
            for_weights = through_value if for_weights is None else for_weights + through_value
            for_value = torch.matmul(weights.transpose(-1, -2), outer)
        if for_weights is None:
            return None, None, None, None, None
        for_scores = torch._softmax_backward_data(for_weights, weights, -1, weights.dtype).mul_(ctx.scaling)
        for_query = torch.matmul(for_scores, key)
        for_key = torch.matmul(for_scores.transpose(-1, -2), query)
        return for_query, for_key, for_value, None, None


__all__ = ["KeptAttention", "eager_attention", "finite_mask", "keeps_weights"]

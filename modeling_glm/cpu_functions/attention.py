"""Attention with dropout for training on CPUs, which computes its scores again in the backward pass."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from .dropout import draw_kept, draws_quickly
from .kept_weights import KeptAttention, finite_mask, keeps_weights

# Scores that a thread handles at a time: one mebibyte in fp32, which fits into its caches.
CACHED_SCORES = 2**18


class Part(NamedTuple):
    """
    Some heads of one row.

    Attributes:
        where: The row and the slice of heads: an index of (rows, heads, ...) tensors.
        mask: (1, seq, keys) in the dtype of the scores, to which it is added, or None.
    """

    where: tuple[int, slice]
    mask: torch.Tensor | None


def sdpa_attention_forward(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """
    Attend as the library's "sdpa" does. In training on CPUs, `RecomputedAttention` attends with dropout, and
    `KeptAttention` without dropout in bf16.

    Args:
        module: The attention layer.
        query: (batch, heads, seq, head_dim).
        key, value: (batch, heads, keys, head_dim).
        attention_mask: Broadcasts to (batch, heads, seq, keys): bool with True = may attend, or added to the scores.
        scaling: Factor of the scores.
        dropout: Probability of dropping an attention weight.

    Returns:
        (batch, seq, heads, head_dim), and None in place of the attention weights.
    """
    if is_recomputed(query, dropout):
        return RecomputedAttention.apply(query, key, value, attention_mask, scaling, dropout), None
    if keeps_weights(module, query, key, dropout):
        return KeptAttention.apply(query, key, value, attention_mask, scaling)[0], None
    attention = ALL_ATTENTION_FUNCTIONS["sdpa"]
    return attention(module, query, key, value, attention_mask, scaling=scaling, dropout=dropout, **kwargs)


def is_recomputed(query: torch.Tensor, dropout: float) -> bool:
    """
    Return whether attention is recomputed: with dropout on CPUs, torch's SDPA keeps all scores and draws slowly.

    The answer does not depend on gradients. Checkpointing runs a layer without them first and with them again in the
    backward pass, and both runs must draw the same dropout mask.
    """
    return 0 < dropout < 1 and query.dtype in (torch.float32, torch.bfloat16) and draws_quickly(query)


class RecomputedAttention(torch.autograd.Function):
    """
    Attention with dropout that keeps only the dropout mask, and computes the scores again in the backward pass (Dao et
    al. 2022, section 3.1). It handles as many heads at a time as fit into the caches.

    In bf16, the scores and the weights are bf16 too. Softmax computes in fp32 and rounds once.
    """

    @staticmethod
    def forward(ctx, query, key, value, mask, scaling, dropout):
        rows, heads, length, size = query.shape
        attended = query.new_empty(rows, length, heads, size)
        kept = torch.empty(rows, heads, length, key.shape[2], dtype=torch.bool)
        scale = 1.0
        with torch.autocast("cpu", enabled=False):  # it would compute the softmax in fp32
            for part in _parts(query, key, mask):
                row, some_heads = part.where
                weights = _weights(query[part.where], key[part.where], part.mask, scaling)
                kept[part.where], scale = draw_kept(weights, dropout)
                weights *= kept[part.where].view(torch.uint8)
                # (heads, seq, head_dim) -> (seq, heads, head_dim). The scale goes here because this is the smaller tensor.
                attended[row, :, some_heads] = torch.bmm(weights, value[part.where]).mul_(scale).transpose(0, 1)
        ctx.save_for_backward(query, key, value, mask, kept)
        ctx.scaling, ctx.scale = scaling, scale
        return attended

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        query, key, value, mask, kept = ctx.saved_tensors
        for_query, for_key, for_value = (
            torch.empty_like(states, memory_format=torch.contiguous_format) for states in (query, key, value)
        )
        with torch.autocast("cpu", enabled=False):
            for part in _parts(query, key, mask):
                row, some_heads = part.where
                weights = _weights(query[part.where], key[part.where], part.mask, ctx.scaling)
                present = kept[part.where].view(torch.uint8)
                outer = gradient[row, :, some_heads].transpose(0, 1) * ctx.scale
                for_weights = torch.bmm(outer, value[part.where].transpose(1, 2)).mul_(present)
                for_scores = torch._softmax_backward_data(for_weights, weights, -1, weights.dtype)
                for_query[part.where] = torch.bmm(for_scores, key[part.where]).mul_(ctx.scaling)
                for_key[part.where] = torch.bmm(for_scores.transpose(1, 2), query[part.where]).mul_(ctx.scaling)
                weights *= present
                for_value[part.where] = torch.bmm(weights.transpose(1, 2), outer)
        return for_query, for_key, for_value, None, None, None


def _parts(query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor | None) -> Iterator[Part]:
    """Split all heads of all rows into parts whose scores fit into the caches."""
    rows, heads, length, _ = query.shape
    step = torch.get_num_threads() * max(1, CACHED_SCORES // (length * key.shape[2]))
    for row in range(rows):
        # A mask with one row is shared by all.
        added = None if mask is None else finite_mask(mask[row if len(mask) > 1 else 0], query.dtype)
        for start in range(0, heads, step):
            yield Part((row, slice(start, start + step)), added)


def _weights(query: torch.Tensor, key: torch.Tensor, added: torch.Tensor | None, scaling: float) -> torch.Tensor:
    """Compute the softmax of the scores: (heads, seq, keys)."""
    if added is None:
        scores = torch.bmm(query, key.transpose(1, 2)).mul_(scaling)
    else:
        scores = torch.baddbmm(added, query, key.transpose(1, 2), alpha=scaling)
    return torch.softmax(scores, dim=-1)


__all__ = ["RecomputedAttention", "is_recomputed", "sdpa_attention_forward"]

"""Attention of our own for training on CPUs and for its weights, and dropout that is drawn quickly on CPUs."""

from collections.abc import Iterator

import torch
from torch import nn
from transformers.processing_utils import Unpack
from transformers.utils import TransformersKwargs

# A mask of dropout is drawn with so many bits per element: its probability is that asked for to 8 millionths.
LEVELS = 2**16
# Scores that a thread handles at a time: a mebibyte.
CACHED_SCORES = 2**18


def eager_attention_forward(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **kwargs: Unpack[TransformersKwargs],
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Args:
        query: (batch, heads, seq, head_dim).
        key, value: (batch, heads, keys, head_dim).
        attention_mask: Broadcasts to (batch, heads, seq, keys): bool, True = may attend, or added to the scores.
    """
    # Scaling before the product keeps fp16 scores small: what the originals' attention_scale is for.
    scores = torch.matmul(query * scaling, key.transpose(-1, -2))
    if attention_mask is not None:
        scores += _as_added(attention_mask, scores.dtype)
    weights = nn.functional.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype)
    scale = None
    if dropout > 0 and module.training and draws_quickly(weights):
        kept, scale = draw_kept(weights, dropout)
        weights = weights * kept.view(torch.uint8)
    else:
        weights = nn.functional.dropout(weights, p=dropout, training=module.training)
    attended = torch.matmul(weights, value)
    if scale is not None:
        attended = attended * scale  # which is smaller than the weights
    return attended.transpose(1, 2).contiguous(), weights


def recomputed_attention_forward(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    dropout: float,
    **kwargs: Unpack[TransformersKwargs],
) -> tuple[torch.Tensor, None]:
    """[`eager_attention_forward`] for training on CPUs, which keeps no scores: see [`RecomputedAttention`]."""
    return RecomputedAttention.apply(query, key, value, attention_mask, scaling, dropout), None


def is_recomputed(query: torch.Tensor, dropout: float) -> bool:
    """
    Whether [`recomputed_attention_forward`] takes the place of `scaled_dot_product_attention`: with dropout on CPUs, where
    that has all scores in memory and draws its masks slowly.
    """
    return 0 < dropout < 1 and query.dtype == torch.float32 and draws_quickly(query) and query.requires_grad


class RecomputedAttention(torch.autograd.Function):
    """
    Attention with dropout whose backward pass computes the scores again (Dao et al. 2022, section 3.1), so that of all
    scores only the bools of the mask of dropout are kept. Heads are handled a few at a time, as many as fit into caches.
    """

    @staticmethod
    def forward(ctx, query, key, value, mask, scaling, dropout):
        rows, heads, length, size = query.shape
        attended = query.new_empty(rows, length, heads, size)
        kept = torch.empty(rows, heads, length, key.shape[2], dtype=torch.bool)
        scale = 1.0
        for row, part, added in _parts(query, key, mask):
            weights = _weights(query[row, part], key[row, part], added, scaling)
            kept[row, part], scale = draw_kept(weights, dropout)
            weights *= kept[row, part].view(torch.uint8)
            attended[row, :, part] = torch.bmm(weights, value[row, part]).mul_(scale).transpose(0, 1)
        ctx.save_for_backward(query, key, value, mask, kept)
        ctx.scaling, ctx.scale = scaling, scale
        return attended

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        query, key, value, mask, kept = ctx.saved_tensors
        gradients = [torch.empty_like(states, memory_format=torch.contiguous_format) for states in (query, key, value)]
        for row, part, added in _parts(query, key, mask):
            weights = _weights(query[row, part], key[row, part], added, ctx.scaling)
            present = kept[row, part].view(torch.uint8)
            outer = gradient[row, :, part].transpose(0, 1) * ctx.scale
            through = torch.bmm(outer, value[row, part].transpose(1, 2)).mul_(present)
            through = torch._softmax_backward_data(through, weights, -1, torch.float32)
            gradients[0][row, part] = torch.bmm(through, key[row, part]).mul_(ctx.scaling)
            gradients[1][row, part] = torch.bmm(through.transpose(1, 2), query[row, part]).mul_(ctx.scaling)
            weights *= present
            gradients[2][row, part] = torch.bmm(weights.transpose(1, 2), outer)
        return *gradients, None, None, None


def _parts(
    query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor | None
) -> Iterator[tuple[int, slice, torch.Tensor | None]]:
    """Rows, so many heads of each at a time that their scores fit into caches, and what is added to these."""
    rows, heads, length, _ = query.shape
    threads = torch.get_num_threads()
    step = threads * max(1, CACHED_SCORES // (length * key.shape[2]))
    for row in range(rows):
        added = _added(mask, row)
        for start in range(0, heads, step):
            yield row, slice(start, start + step), added


def _added(mask: torch.Tensor | None, row: int) -> torch.Tensor | None:
    """What is added to the scores of a row: (1, seq, keys)."""
    if mask is None:
        return None
    return _as_added(mask[row if len(mask) > 1 else 0], torch.float32)


def _as_added(mask: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """A mask of bools as what is added to scores; others are that already."""
    if mask.dtype != torch.bool:
        return mask
    return torch.zeros_like(mask, dtype=dtype).masked_fill_(~mask, torch.finfo(dtype).min)


def _weights(query: torch.Tensor, key: torch.Tensor, added: torch.Tensor | None, scaling: float) -> torch.Tensor:
    """The softmax of the scores: (heads, seq, keys)."""
    if added is None:
        scores = torch.bmm(query, key.transpose(1, 2)).mul_(scaling)
    else:
        scores = torch.baddbmm(added, query, key.transpose(1, 2), alpha=scaling)
    return torch.softmax(scores, dim=-1)


class GLMDropout(nn.Dropout):
    """`torch.nn.Dropout`, whose mask is drawn several times faster on CPUs."""

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        if not self.training or not 0 < self.p < 1 or not draws_quickly(hidden_states):
            return super().forward(hidden_states)
        kept, scale = draw_kept(hidden_states, self.p)
        return hidden_states * kept.view(torch.uint8) * scale


def draws_quickly(states: torch.Tensor) -> bool:
    """Whether [`draw_kept`] is for these states: where torch draws numbers one at a time, and compiles nothing."""
    return states.device.type == "cpu" and not torch.compiler.is_compiling()


def draw_kept(states: torch.Tensor, probability: float) -> tuple[torch.Tensor, float]:
    """
    Which elements dropout keeps: one draw of 64 bits for four of them, from torch's generator.

    Args:
        states: Only their shape is read.
        probability: Of being dropped, between 0 and 1.

    Returns:
        Bools of the shape of `states`, and what to multiply by so that the mean stays. Seen as bytes, bools become floats
        several times faster.
    """
    dropped = min(max(round(probability * LEVELS), 1), LEVELS - 1)
    count = states.numel()
    words = torch.empty((count + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    kept = words.view(torch.int16)[:count] >= dropped - LEVELS // 2
    return kept.view(states.shape), LEVELS / (LEVELS - dropped)

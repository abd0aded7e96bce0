"""Attention with its scores in memory, and dropout that is drawn quickly on CPUs."""

import torch
from torch import nn
from transformers.processing_utils import Unpack
from transformers.utils import TransformersKwargs

# A mask of dropout is drawn with so many bits per element: its probability is that asked for to 8 millionths.
LEVELS = 2**16


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
        if attention_mask.dtype == torch.bool:
            added = torch.zeros_like(attention_mask, dtype=scores.dtype)
            attention_mask = added.masked_fill_(~attention_mask, torch.finfo(scores.dtype).min)
        scores += attention_mask
    weights = nn.functional.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype)
    scale = None
    if dropout > 0 and module.training and draws_quickly(weights):
        kept, scale = draw_kept(weights, dropout)
        weights = weights * kept
    else:
        weights = nn.functional.dropout(weights, p=dropout, training=module.training)
    attended = torch.matmul(weights, value)
    if scale is not None:
        attended = attended * scale  # which is smaller than the weights
    return attended.transpose(1, 2).contiguous(), weights


def prefers_eager(query: torch.Tensor, dropout: float) -> bool:
    """
    Whether [`eager_attention_forward`] is faster than `scaled_dot_product_attention`: with dropout on CPUs, where that
    has the scores in memory too, and draws its mask slowly.
    """
    return dropout > 0 and draws_quickly(query)


class GLMDropout(nn.Dropout):
    """`torch.nn.Dropout`, whose mask is drawn several times faster on CPUs."""

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        if not self.training or not 0 < self.p < 1 or not draws_quickly(hidden_states):
            return super().forward(hidden_states)
        kept, scale = draw_kept(hidden_states, self.p)
        return hidden_states * kept * scale


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
        Bools of the shape of `states`, and what to multiply by so that the mean stays.
    """
    dropped = min(max(round(probability * LEVELS), 1), LEVELS - 1)
    count = states.numel()
    words = torch.empty((count + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    kept = words.view(torch.int16)[:count] >= dropped - LEVELS // 2
    return kept.view(states.shape), LEVELS / (LEVELS - dropped)

"""Self-attention with one fused projection, by the attention functions of the library."""

from collections.abc import Callable

import torch
from torch import nn
from transformers import AttentionInterface
from transformers.cache_utils import Cache
from transformers.processing_utils import Unpack
from transformers.utils import TransformersKwargs

from .configuration_glm import GLMConfig
from .mlp_glm import EXCHANGEABLE_FUNCTIONS, GLMDropout, residual_projection

# The library's attention functions. This instance of their registry is our own, so that a function which is set here
# serves GLM only. The installed package sets a faster "sdpa" for training on CPUs (modeling_glm.cpu_functions).
ALL_ATTENTION_FUNCTIONS = AttentionInterface()


def additive_mask(mask: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Turn a bool mask (True = may attend) into one that is added to the scores. Other masks are that already."""
    if mask.dtype != torch.bool:
        return mask
    return torch.zeros_like(mask, dtype=dtype).masked_fill_(~mask, torch.finfo(dtype).min)


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
    """Attend with all scores in memory. The result is (batch, seq, heads, head_dim), and the attention weights."""
    # Queries are scaled before the matmul because that keeps fp16 scores small, as the originals' attention_scale does.
    scores = torch.matmul(query * scaling, key.transpose(-1, -2))  # (batch, heads, seq, keys)
    if attention_mask is not None:
        scores += additive_mask(attention_mask, scores.dtype)
    # In fp32 the mask of fp64 would be -inf, and a query that sees nothing would become NaN.
    precise = torch.promote_types(scores.dtype, torch.float32)
    weights = nn.functional.softmax(scores, dim=-1, dtype=precise).to(query.dtype)
    weights = EXCHANGEABLE_FUNCTIONS["dropout"](weights, dropout, module.training)
    return torch.matmul(weights, value).transpose(1, 2).contiguous(), weights


class GLMAttention(nn.Module):
    """Multi-head self-attention. One fused projection gives all queries, then all keys, then all values."""

    def __init__(self, config: GLMConfig, layer_idx: int):
        super().__init__()
        self.config = config
        self.layer_idx = layer_idx
        self.head_dim = config.hidden_size // config.num_attention_heads
        self.scaling = self.head_dim**-0.5
        self.attention_dropout = config.attention_dropout
        self.is_causal = False  # the mask is always given, or not needed
        self.query_key_value = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.dense = residual_projection(config.hidden_size, config.hidden_size)
        self.output_dropout = GLMDropout(config.hidden_dropout)

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        input_shape = hidden_states.shape[:-1]
        # (batch, seq, 3 * hidden) -> three of (batch, heads, seq, head_dim)
        project = EXCHANGEABLE_FUNCTIONS["project"]
        query, key, value = (
            states.view(*input_shape, -1, self.head_dim).transpose(1, 2)
            for states in project(self.query_key_value, hidden_states).chunk(3, dim=-1)
        )
        if past_key_values is not None:
            key, value = past_key_values.update(key, value, self.layer_idx)

        attention: Callable = ALL_ATTENTION_FUNCTIONS.get_interface(
            self.config._attn_implementation, eager_attention_forward
        )
        attended, weights = attention(
            self,
            query,
            key,
            value,
            attention_mask,
            dropout=self.attention_dropout if self.training else 0.0,
            scaling=self.scaling,
            **kwargs,
        )
        return self.output_dropout(project(self.dense, attended.reshape(*input_shape, -1))), weights

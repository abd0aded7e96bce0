"""Self-attention against a loop over heads and queries."""

import math

import pytest
import torch
from torch import nn

from modeling_glm import GLMModel
from modeling_glm.attention_glm import GLMAttention, additive_mask, eager_attention_forward
from tests.support.models import make_model


def attend_slowly(attention: GLMAttention, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Attend query by query. `states` is (batch, seq, hidden), `mask` (batch, seq, seq) bool."""
    batch, length, hidden = states.shape
    size = attention.head_dim
    projected = attention.query_key_value(states)
    result = torch.zeros_like(states)
    for row in range(batch):
        for start in range(0, hidden, size):
            query, key, value = (projected[row, :, part * hidden + start :][:, :size] for part in range(3))
            for place in range(length):
                seen = mask[row, place].nonzero().view(-1)
                weights = torch.softmax(key[seen] @ query[place] / math.sqrt(size), dim=0)
                result[row, place, start : start + size] = weights @ value[seen]
    return attention.dense(result)


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_attention_equals_a_loop_over_heads_and_queries(implementation):
    model = make_model(GLMModel, attn_implementation=implementation)
    attention = model.transformer.layers[1].attention
    torch.manual_seed(0)
    states = torch.randn(2, 6, model.config.hidden_size)
    mask = torch.rand(2, 6, 6) < 0.6
    mask |= torch.eye(6, dtype=torch.bool)  # every query sees itself
    found, _ = attention(states, attention_mask=mask[:, None])
    torch.testing.assert_close(found, attend_slowly(attention, states, mask))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_a_query_that_sees_nothing_stays_finite(dtype):
    query, key, value = torch.randn(3, 1, 2, 4, 8, dtype=dtype)
    mask = torch.ones(1, 1, 4, 4, dtype=torch.bool)
    mask[..., 2, :] = False
    found, weights = eager_attention_forward(nn.Identity(), query, key, value, mask, scaling=0.3)
    assert found.isfinite().all()
    torch.testing.assert_close(weights.sum(-1), torch.ones(1, 2, 4, dtype=dtype), rtol=0, atol=0.01)


def test_masks_that_are_added_stay_as_they_are():
    added = torch.randn(1, 1, 3, 3)
    assert additive_mask(added, torch.float16) is added
    assert additive_mask(torch.tensor([True, False]), torch.float32).tolist() == [0, torch.finfo(torch.float32).min]

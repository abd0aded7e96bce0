"""
GLM as the original code computes it, for comparison.

It computes the logits of all positions, multiplies attention scores with a mask of floats, and keeps all scores in
memory. For decoding it keeps the hidden states of each layer and projects them again at each step, or reads the whole
sequence again. It takes the weights of one of our models and gives the same numbers.
"""

import torch
from torch import nn
from torch.nn import functional as F

from modeling_glm import GLMForConditionalGeneration, GLMForMultipleChoice


class NaiveGLM(nn.Module):
    """
    GLM as the original code computes it.

    Args:
        model: The model whose parameters are used, without a copy.
    """

    def __init__(self, model: GLMForConditionalGeneration | GLMForMultipleChoice):
        super().__init__()
        self.config = model.config
        self.glm = model.glm

    def forward(
        self,
        input_ids: torch.Tensor,
        position_ids: torch.Tensor,
        mask: torch.Tensor,
        memory: list[torch.Tensor] | None = None,
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """
        Compute the logits of all positions.

        Args:
            input_ids: (batch, seq).
            position_ids: (batch, 2, seq).
            mask: (batch, 1, seq, memory + seq) floats, 1 where a token may attend.
            memory: The inputs of each layer at earlier steps, (batch, memory, hidden) each.

        Returns:
            Logits (batch, seq, vocabulary), and the memory with the given tokens added.
        """
        stack = self.glm.transformer
        hidden = self.glm.word_embeddings(input_ids)
        hidden = hidden + stack.position_embeddings(position_ids[:, 0])
        hidden = hidden + stack.block_position_embeddings(position_ids[:, 1])
        hidden = F.dropout(hidden, self.config.embedding_dropout, self.training)
        kept = []
        for number, layer in enumerate(stack.layers):
            seen = hidden if memory is None else torch.cat((memory[number], hidden), dim=1)
            kept.append(seen)
            hidden = hidden + self._attend(layer, hidden, seen, mask)
            inner = layer.mlp.dense_h_to_4h(layer.post_attention_layernorm(hidden))
            inner = F.gelu(inner, approximate="tanh")
            inner = F.dropout(layer.mlp.dense_4h_to_h(inner), self.config.hidden_dropout, self.training)
            hidden = hidden + inner
        hidden = stack.final_layernorm(hidden)
        return F.linear(hidden, self.glm.word_embeddings.weight), kept

    def _attend(self, layer: nn.Module, hidden: torch.Tensor, seen: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        attention, size = layer.attention, hidden.shape[-1]
        normed = layer.input_layernorm(seen)
        weight, bias = attention.query_key_value.weight, attention.query_key_value.bias
        if seen is hidden:
            query, key, value = attention.query_key_value(normed).chunk(3, dim=-1)
        else:
            # Queries of the new tokens, keys and values of all tokens: the weight is [query; key; value].
            query = F.linear(normed[:, -hidden.shape[1] :], weight[:size], bias[:size])
            key, value = F.linear(normed, weight[size:], bias[size:]).chunk(2, dim=-1)
        query, key, value = (
            states.unflatten(-1, (-1, attention.head_dim)).transpose(1, 2) for states in (query, key, value)
        )
        scores = torch.matmul(query * attention.scaling, key.transpose(-1, -2))
        scores = scores * mask - 10000.0 * (1.0 - mask)
        probabilities = F.dropout(scores.softmax(-1), attention.attention_dropout, self.training)
        mixed = torch.matmul(probabilities, value).transpose(1, 2).flatten(2)
        return F.dropout(attention.dense(mixed), self.config.hidden_dropout, self.training)


def make_mask(position_ids: torch.Tensor) -> torch.Tensor:
    """Make the (batch, 1, seq, seq) mask: all tokens see Part A, those of Part B also see Part B up to themselves."""
    length = position_ids.shape[-1]
    part_a = (position_ids[:, 1] == 0)[:, None, None, :]
    causal = torch.ones(length, length, dtype=torch.bool, device=position_ids.device).tril()
    in_b = (position_ids[:, 1] > 0)[:, None, :, None]
    return (part_a | (causal & in_b)).float()


def loss_everywhere(
    model: NaiveGLM, input_ids: torch.Tensor, position_ids: torch.Tensor, labels: torch.Tensor
) -> torch.Tensor:
    """Compute the mean loss of the labelled tokens from the logits and losses of all positions."""
    logits, _ = model(input_ids, position_ids, make_mask(position_ids))
    labelled = (labels != -100).float()
    losses = F.cross_entropy(logits.float().transpose(1, 2), labels.clamp(min=0), reduction="none")
    return (losses * labelled).sum() / labelled.sum()


@torch.no_grad()
def decode(model: NaiveGLM, context: torch.Tensor, blank: int, new_tokens: int, remember: bool) -> torch.Tensor:
    """
    Fill one blank greedily.

    Args:
        context: (batch, seq) texts without padding.
        blank: The column of the blank.
        new_tokens: Number of tokens to generate. The ids that open or end a piece are never chosen.
        remember: Keep the hidden states of each layer. Otherwise each step reads the whole sequence again.

    Returns:
        (batch, new_tokens) ids.
    """
    config = model.config
    batch, length = context.shape
    ids = F.pad(context, (0, 1), value=config.sop_token_id)
    # 3 tokens with the blank in column 1, 2 new tokens: row 0 [0 1 2 1 1 1], row 1 [0 0 0 1 2 3]
    rows = torch.arange(length + 1 + new_tokens).expand(2, -1).clone()
    rows[0, length:], rows[1] = blank, (rows[1] - length + 1).clamp(min=0)
    positions = rows.to(context.device).expand(batch, -1, -1)
    memory = None
    for step in range(new_tokens):
        end = length + 1 + step
        mask = make_mask(positions[..., :end])
        if remember and memory is not None:
            logits, memory = model(ids[:, -1:], positions[..., end - 1 : end], mask[:, :, -1:], memory)
        else:
            logits, memory = model(ids, positions[..., :end], mask)
        logits[:, -1, [config.sop_token_id, config.eop_token_id, config.eos_token_id]] = -torch.inf
        ids = torch.cat((ids, logits[:, -1].argmax(-1, keepdim=True)), dim=1)
    return ids[:, length + 1 :]

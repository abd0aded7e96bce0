"""Decode several branches of every row side by side, behind one copy of its prompt."""

from typing import Any, NamedTuple

import torch
from transformers import DynamicCache
from transformers.cache_utils import Cache

from ...cache_glm import let_grow


class Prefill(NamedTuple):
    """
    Hold what the model read before the first new token.

    Attributes:
        log_probs: (rows, vocabulary) float32, those of the first new token.
        cache: The keys and values of the prompt.
        visible: (rows, prompt) bool, the tokens that new ones see.
        positions: (rows, 2, given) int64, those of the prompt, perhaps of more tokens.
    """

    log_probs: torch.Tensor
    cache: Cache
    visible: torch.Tensor
    positions: torch.Tensor

    def positions_of(self, step: int) -> torch.Tensor:
        """
        Return the positions of the new token number `step`, from 0: (rows, 2). Behind the given ones, row 1 counts on.

            given to the prompt of 4 tokens    row 0   0 1 2 1    row 1   0 0 0 1      of step 0: 1 and 2
        """
        behind = self.visible.shape[1] + step - (self.positions.shape[-1] - 1)
        row0, row1 = self.positions[..., -1 if behind >= 0 else behind - 1].unbind(1)
        return torch.stack((row0, row1 + max(0, behind)), dim=1)


def prefill(model: Any, input_ids: torch.Tensor, attention_mask: torch.Tensor, **model_kwargs: Any) -> Prefill:
    """
    Read prompts as the first step of `generate` does.

    Args:
        model: A `GLMForConditionalGeneration`.
        input_ids: (rows, prompt) int64. Every row ends with the start of a piece.
        attention_mask: (rows, prompt), 0 for padding.
        model_kwargs: Further arguments of `prepare_inputs_for_generation`.
    """
    cache = let_grow(DynamicCache(config=model.config))
    inputs = model.prepare_inputs_for_generation(
        input_ids,
        past_key_values=cache,
        attention_mask=attention_mask,
        is_first_iteration=True,
        **{**model_kwargs, "use_cache": True},
    )
    positions = inputs["position_ids"]
    if (given := model_kwargs.get("generation_position_ids")) is not None:
        positions = given
    visible = attention_mask != 0
    if (mask := model_kwargs.get("generation_attention_mask")) is not None:
        length = input_ids.shape[1]
        visible = visible & (mask[:, 0, length - 1, :length] != 0)
    logits = model(**inputs, logits_to_keep=1, return_dict=True).logits[:, -1]
    return Prefill(logits.float().log_softmax(-1), cache, visible, positions)


class BranchDecoder:
    """
    Feed one token to every beam of every row, without a copy of the prompt for each beam.

    All beams of a row share one row of the cache. A beam sees the prompt and its own tokens, which a mask picks:

        slot      prompt  S   a1 a2   b1 b2        beam 1 was a2 and is now b1, beam 2 was a2 and is now b2
        beam 1      1     1    0  1    1  0
        beam 2      1     1    0  1    0  1

    So beams change places without a copy of their keys and values.

    Args:
        model: A `GLMForConditionalGeneration`.
        start: What the model read of the prompts.
    """

    def __init__(self, model: Any, start: Prefill):
        self.model = model
        self.cache = start.cache
        self.allowed = start.visible[:, None]  # (rows, beams, slots), what each beam sees

    def feed(self, token_ids: torch.Tensor, parents: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """
        Feed the next tokens.

        Args:
            token_ids: (rows, beams) int64, the last token of every beam.
            parents: (rows, beams) int64, the beam of the step before that each one continues.
            positions: (rows, 2, beams) int64.

        Returns:
            (rows, beams, vocabulary) float32, the log-probabilities of the tokens that follow.
        """
        rows, beams = token_ids.shape
        seen = self.allowed.gather(1, parents[..., None].expand(-1, -1, self.allowed.shape[-1]))
        own = torch.eye(beams, dtype=torch.bool, device=seen.device).expand(rows, -1, -1)
        self.allowed = torch.cat((seen, own), dim=-1)
        outputs = self.model(
            input_ids=token_ids,
            attention_mask=self.allowed[:, None],
            position_ids=positions,
            past_key_values=self.cache,
            use_cache=True,
            return_dict=True,
        )
        return outputs.logits.float().log_softmax(-1)

    def keep(self, rows: torch.Tensor) -> None:
        """Keep only some rows, by their places."""
        self.cache.batch_select_indices(rows)
        self.allowed = self.allowed[rows]


__all__ = ["BranchDecoder", "Prefill", "prefill"]

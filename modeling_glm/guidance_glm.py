"""Classifier-free guidance for blanks."""

from typing import Any

import torch
from torch.nn import functional as F
from transformers import LogitsProcessor

from .inputs_glm import check_ids
from .layout_glm import find_parts, is_any_of
from .settings_glm import end_token_ids


class GuidanceLogitsProcessor(LogitsProcessor):
    """
    Guide the model away from what it would write without the text: classifier-free guidance for blanks.

    It does the arithmetic of the processor of Transformers, which keeps a cache of its own. Ours reads the whole input
    at every step, because beams and drafts go back and forth.

    Args:
        model: A model with `next_token_logits`.
        scale: The guidance scale. 1 changes nothing.
        attention_mask: (batch, seq), 0 for the padding of the prompts; None without padding.
        piece_limit: The longest piece. What it cuts off is not read.
        negative_ids: (batch, seq) int64, texts with as many blanks as the prompts, without pieces. None stands for the
            prompts without their words.
        negative_mask: (batch, seq), 0 for the padding of the negative texts.
    """

    reads_prompt = True

    def __init__(
        self,
        model: Any,
        scale: float,
        attention_mask: torch.Tensor | None,
        piece_limit: int | None,
        negative_ids: torch.Tensor | None = None,
        negative_mask: torch.Tensor | None = None,
    ):
        self.model = model
        self.scale = scale
        self.attention_mask = attention_mask
        self.piece_limit = piece_limit
        self.negative_ids = negative_ids
        self.negative_mask = negative_mask
        if negative_ids is not None:
            check_ids(negative_ids, model.config, wait=True, name="negative_prompt_ids")
            if negative_mask is None:
                self.negative_mask = torch.ones_like(negative_ids)
            elif negative_mask.shape != negative_ids.shape:
                raise ValueError(
                    f"negative_prompt_attention_mask has shape {tuple(negative_mask.shape)}, but negative_prompt_ids has "
                    f"{tuple(negative_ids.shape)}: expected the same."
                )

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        scores = scores.log_softmax(-1)
        ids, mask = self._unconditional(input_ids)
        unconditional = self.model.next_token_logits(ids, mask, self.piece_limit).to(scores).log_softmax(-1)
        return self.scale * (scores - unconditional) + unconditional

    def _unconditional(self, input_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Put the pieces behind the negative texts, or hide the words of Part A: ids and attention mask."""
        config = self.model.config
        parts = find_parts(input_ids, config)  # `generate` has made hidden tokens padding
        part_b = parts.piece > 0
        if self.negative_ids is None:
            frame = [config.cls_token_id, *end_token_ids(config), *config.mask_token_ids]
            mask = part_b | is_any_of(input_ids, [token_id for token_id in frame if token_id is not None])
            if self.attention_mask is not None:
                new = input_ids.shape[1] - self.attention_mask.shape[1]
                mask = mask & (F.pad(self.attention_mask, (0, new), value=1) != 0)
            return input_ids, mask.long()
        assert self.negative_mask is not None
        copies, rest = divmod(len(input_ids), len(self.negative_ids))
        if rest:
            raise ValueError(
                f"There are {len(self.negative_ids)} negative prompts for {len(input_ids)} rows: expected one for every "
                "prompt, or one for all."
            )
        negative_ids, negative_mask = (
            rows.repeat_interleave(copies, dim=0).to(input_ids.device)
            for rows in (self.negative_ids, self.negative_mask)
        )
        negative = find_parts(negative_ids, config, negative_mask)
        negative_mask = negative_mask.masked_fill(negative.piece > 0, 0)
        blanks, needed = negative.blanks.sum(-1), parts.blanks.sum(-1)
        if (blanks != needed).any():
            row = int((blanks != needed).nonzero()[0])
            raise ValueError(
                f"The negative prompt of row {row} has {int(blanks[row])} blanks, but its prompt has {int(needed[row])}: "
                "write as many."
            )
        return torch.cat((negative_ids, input_ids), dim=1), torch.cat((negative_mask, part_b.long()), dim=1)

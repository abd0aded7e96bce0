"""Generate a fixed number of tokens greedily, with `generate`."""

import torch
from transformers import PreTrainedModel

from modeling_glm import GLMForConditionalGeneration


class GreedyDecoder:
    """
    Fill the blank of contexts with a fixed number of tokens, or continue them in a peer.

    Args:
        model: GLM or a peer.
        contexts: (batch, seq) ids without padding.
        new_tokens: Number of tokens to generate.
        settings: Further arguments of `generate`.
    """

    def __init__(self, model: PreTrainedModel, contexts: torch.Tensor, new_tokens: int, **settings):
        self.model, self.contexts = model, contexts
        self.settings = {
            "max_new_tokens": new_tokens,
            "do_sample": False,
            "num_beams": 1,
            "attention_mask": torch.ones_like(contexts),
            "pad_token_id": 0,
            **settings,
        }
        if isinstance(model, GLMForConditionalGeneration):
            # No id ends a piece; it ends when it is full.
            self.settings |= {"eos_token_id": -1, "max_new_tokens_per_blank": new_tokens}
        else:
            self.settings["min_new_tokens"] = new_tokens

    def __call__(self) -> torch.Tensor:
        """Return (batch, seq + new tokens) ids."""
        return self.model.generate(self.contexts, **self.settings)

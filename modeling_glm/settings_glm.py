"""Read the settings of `generate`: its limits, and the tokens that end a piece."""

from dataclasses import dataclass, fields
from typing import Any

import torch
from transformers import GenerationConfig

from .configuration_glm import GLMConfig
from .inputs_glm import require_count, require_token_id

# The longest answer where the caller sets no limit.
DEFAULT_MAX_NEW_TOKENS_PER_BLANK = 64
# Seq2SeqTrainer writes this `max_length` into the model's generation config. Found there, it is nobody's choice.
LIBRARY_DEFAULT_MAX_LENGTH = 20


def end_token_ids(config: GLMConfig, chosen: int | list[int] | None = None) -> list[int]:
    """
    List the tokens that end a piece: its own end token, and the end of text or the tokens chosen in its place.

    Args:
        config: Gives the ids.
        chosen: An `eos_token_id` as `generate` takes it. -1 is the library's way to say that nothing ends a piece.
    """
    chosen = config.eos_token_id if chosen is None else chosen
    listed = chosen if isinstance(chosen, list | tuple) else [chosen]
    if any(token_id is not None and token_id < 0 for token_id in listed):
        return []
    return sorted({token_id for token_id in (config.eop_token_id, *listed) if token_id is not None})


@dataclass(frozen=True, kw_only=True)
class GenerationSettings:
    """The settings of the library that `GLMGenerationMixin.generate` reads itself; None where nobody set them."""

    cache_implementation: str | None
    eos_token_id: int | list[int] | None
    max_length: int | None
    max_new_tokens: int | None
    max_new_tokens_per_blank: int | None
    pad_token_id: int | None
    prefill_chunk_size: int | None

    @classmethod
    def read(
        cls, kwargs: dict[str, Any], given: GenerationConfig | None, own: GenerationConfig
    ) -> "GenerationSettings":
        """Read every setting from the keyword arguments, else the given config, else the model's own config."""
        values = {}
        for field in fields(cls):
            own_value = getattr(own, field.name, None)
            if field.name == "max_length" and own_value == LIBRARY_DEFAULT_MAX_LENGTH:
                own_value = None
            found = (kwargs.get(field.name), getattr(given, field.name, None), own_value)
            values[field.name] = next((value for value in found if value is not None), None)
        return cls(**values)

    def check(self, config: GLMConfig) -> "GenerationSettings":
        """
        Raise a `ValueError` for ids that are none, and for limits that are no whole numbers.

        Returns:
            The same settings, with lists in place of tensors.
        """
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        for name in ("max_length", "max_new_tokens", "max_new_tokens_per_blank"):
            if values[name] is not None:
                values[name] = require_count(values[name], name)
        if self.eos_token_id is not None:
            listed = self.eos_token_id
            listed = listed.tolist() if isinstance(listed, torch.Tensor) else listed
            listed = list(listed) if isinstance(listed, list | tuple) else [listed]
            ends = [require_token_id(token_id, "eos_token_id", config) for token_id in listed]
            values["eos_token_id"] = ends or None
        if self.pad_token_id is not None:
            values["pad_token_id"] = require_token_id(self.pad_token_id, "pad_token_id", config)
            if values["pad_token_id"] < 0:
                raise ValueError(f"pad_token_id={self.pad_token_id} must be an id, 0 ... {config.vocab_size - 1}.")
        return type(self)(**values)

    @property
    def has_total_limit(self) -> bool:
        """Whether a limit for the whole output is set."""
        return self.max_new_tokens is not None or self.max_length is not None

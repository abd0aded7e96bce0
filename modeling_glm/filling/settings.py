"""Settings of `fill_blanks`, checked when they are made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from transformers import LogitsProcessor

from ..configuration_glm import GLMConfig
from ..generation_glm import DEFAULT_MAX_NEW_TOKENS_PER_BLANK
from .processors import sampling_warpers

Order = Literal["left-to-right", "confident-first"]
ORDERS: tuple[Order, ...] = ("left-to-right", "confident-first")
# Arguments of `generate` that a search sets itself.
OWN_ARGUMENTS = frozenset(
    [
        "attention_mask",
        "do_sample",
        "early_stopping",
        "eos_token_id",
        "input_ids",
        "logits_processor",
        "max_length",
        "max_new_tokens",
        "num_return_sequences",
        "output_scores",
        "position_ids",
        "return_dict_in_generate",
    ]
)


@dataclass(frozen=True, kw_only=True)
class FillingSettings:
    """
    Hold how `fill_blanks` searches. Its docstring describes the fields.

    Raises:
        ValueError: If a value is out of range, or if settings contradict each other.
    """

    num_answers: int = 1
    order: Order = "left-to-right"
    num_beams: int | None = None
    do_sample: bool = False
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    seed: int = 0
    length_penalty: float = 0.0
    max_new_tokens_per_blank: int | None = None
    batch_size: int = 32
    first_number: int = 0
    generate_kwargs: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        beams = self.num_beams or 1
        for name in ("num_answers", "batch_size", "num_beams"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}={value}: expected at least 1.")
        if self.order not in ORDERS:
            raise ValueError(f"order={self.order!r}: expected one of {', '.join(map(repr, ORDERS))}.")
        if self.order == "confident-first" and (self.num_answers > 1 or self.do_sample or beams > 1):
            raise ValueError(
                "order='confident-first' gives one filling: leave num_answers, num_beams and do_sample out."
            )
        if self.do_sample and beams > 1:
            raise ValueError(f"do_sample=True and num_beams={beams}: expected draws or beams, not both.")
        if taken := sorted(OWN_ARGUMENTS & set(self.generate_kwargs)):
            raise ValueError(f"fill_blanks sets {taken[0]} itself: leave it out, or use model.generate.")
        if self.streams and (self.num_answers > 1 or beams > 1 or self.order != "left-to-right"):
            raise ValueError("A streamer is for one answer of a single text, without beams, from left to right.")
        if self.do_sample:
            self.warpers()  # refuses values out of range

    @property
    def streams(self) -> bool:
        """Whether answers go to a streamer."""
        return self.generate_kwargs.get("streamer") is not None

    @property
    def beams(self) -> int:
        """The number of beams of a search: 1 is greedy search, or one row per draw."""
        if self.do_sample:
            return 1
        return self.num_beams or (1 if self.num_answers == 1 else max(4, 2 * self.num_answers))

    def warpers(self) -> list[LogitsProcessor]:
        """Build the processors that shape the distribution of draws."""
        return sampling_warpers(self.temperature, self.top_k, self.top_p, self.min_p) if self.do_sample else []

    def longest_answer(self, config: GLMConfig) -> int:
        """
        Find the longest answer in tokens, where no constraint says otherwise.

        Raises:
            ValueError: If `max_new_tokens_per_blank` exceeds what the position table holds.
        """
        longest = longest_possible_answer(config)
        limit = self.max_new_tokens_per_blank
        if limit is None:
            return min(longest, DEFAULT_MAX_NEW_TOKENS_PER_BLANK)
        if not 1 <= limit <= longest:
            raise ValueError(
                f"max_new_tokens_per_blank={limit} must be between 1 and {longest}, the longest answer that the position "
                "table holds."
            )
        return limit


def longest_possible_answer(config: GLMConfig) -> int:
    """Find the longest answer in tokens that a search can find."""
    # The start of the piece takes one position. One more is free, so that `generate` never cuts an answer off.
    return config.max_piece_length - 2

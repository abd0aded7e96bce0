"""Score the choices of examples with a causal model."""

from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedConfig

from ...configuration_glm import GLMConfig
from ...utils.inference import unwrap
from ...utils.numbers import check_whole_number, shorten
from .layout import Scored, lay_out_causal_choices
from .scoring import ScoredSpan, check_causal_model, count_shared, score_spans

SCORED: tuple[Scored, ...] = ("sentence", "behind")


class CausalChoices:
    """
    Lay out examples for a causal model, and score their choices.

    Args:
        model: A causal model of Transformers, or a PEFT wrapper around one.
        tokenizer: Its tokenizer.
        max_length: The most tokens of a row. By default as many as the config says, if it does.
        scored: What is scored of a text with more behind its blank: see `lay_out_causal_choices`.
        as_written: Whether choices are put into the text exactly as they stand.

    Raises:
        ValueError: For a model that is not causal, and for an argument out of range.
    """

    def __init__(self, model: Any, tokenizer: Any, *, max_length: int | None, scored: Scored, as_written: bool):
        check_causal_model(model)
        self.model = model
        self.tokenizer = tokenizer
        self.max_length = _check_length(max_length, unwrap(model).config)
        self.scored = scored
        self.as_written = as_written

    @property
    def settings(self) -> dict[str, Any]:
        """Return what decides the scores."""
        return {"max_length": self.max_length, "scored": self.scored, "as_written": self.as_written}

    def lay_out(self, text: str, choices: Sequence[str]) -> tuple[list[ScoredSpan], bool]:
        """Lay out an example: see `lay_out_causal_choices`."""
        return lay_out_causal_choices(
            self.tokenizer,
            text,
            choices,
            max_length=self.max_length,
            scored=self.scored,
            as_written=self.as_written,
        )

    def score(self, rows: Sequence[Sequence[ScoredSpan]]) -> list[list[float]]:
        """Return for every example the log-probabilities of its choices."""
        return [[one.log_prob for one in of_row] for of_row in score_spans(self.model, rows, batch_size=len(rows))]

    def length(self, row: Sequence[ScoredSpan]) -> int:
        """Return the number of tokens that all choices share, because rows with the same number share a batch."""
        return count_shared(row)

    def token_counts(self, row: Sequence[ScoredSpan]) -> list[int]:
        """Return the number of scored tokens of every choice."""
        return [span.stop - span.start for span in row]


def is_causal(model: Any) -> bool:
    """Return whether a model is a causal one of Transformers. A GLM is none."""
    config = getattr(unwrap(model), "config", None)
    if not isinstance(config, PreTrainedConfig) or config.model_type == GLMConfig.model_type:
        return False
    return not config.is_encoder_decoder and unwrap(model).can_generate()


def check_scored(scored: Any) -> Scored:
    """Check what is scored. Raises a `ValueError` for another word than "sentence" and "behind"."""
    if scored not in SCORED:
        raise ValueError(f"scored={shorten(scored)}: expected {' or '.join(map(repr, SCORED))}.")
    return scored


def _check_length(max_length: int | None, config: Any) -> int | None:
    longest = getattr(config.get_text_config(), "max_position_embeddings", None)
    if max_length is None:
        return longest
    because = "" if longest is None else f", because config.max_position_embeddings={longest}"
    return check_whole_number("max_length", max_length, least=2, most=longest, because=because)


__all__ = ["SCORED", "CausalChoices", "check_scored", "is_causal"]

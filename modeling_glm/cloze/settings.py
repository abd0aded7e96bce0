"""Read the settings of the cloze pipeline: which task, which words, which calibration."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any

from ..tokenization import PatternVerbalizer
from ..tokenization.patterns.values import texts_of
from ..utils.numbers import check_temperature, check_truth_value, check_whole_number
from ..utils.rows import OnError, check_on_error
from .calibration import Calibration, CalibrationMethod

# The two settings of a pair say the same in two ways.
RIVALS = (("pattern", "hypothesis_template"), ("verbalizer", "candidate_labels"))
DEFAULT_TEMPLATE = "This example is {}."  # as in Transformers' zero-shot pipeline


class NotGiven(Enum):
    """Marks a setting that was not given, if None has a meaning of its own."""

    NOT_GIVEN = "not given"


NOT_GIVEN = NotGiven.NOT_GIVEN


@dataclass(frozen=True, kw_only=True)
class ClozeSettings:
    """
    The settings of a pipeline or of one call. `ClozeClassificationPipeline.__call__` describes them.

    Raises:
        ValueError: For both settings of a rival pair, `multi_label=True`, a `top_k` below 1, and an unknown `on_error`.
    """

    pattern: str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]] | PatternVerbalizer | None = None
    hypothesis_template: str | None = None
    verbalizer: Mapping[str, str | Sequence[str]] | None = None
    candidate_labels: str | Sequence[str] | None = None
    multi_label: bool = False
    calibration: Calibration | CalibrationMethod | NotGiven | None = NOT_GIVEN
    domain_premise: str | None = None
    temperature: float | None = None
    max_length: int | None = None
    truncation: bool = False
    top_k: int | NotGiven | None = NOT_GIVEN
    on_error: OnError = "raise"

    def __post_init__(self):
        if self.multi_label:
            raise ValueError(
                "multi_label=True: the labels compete for one blank, so their probabilities sum to 1. Ask about every "
                "label separately, with a pattern that names it and words such as yes and no."
            )
        for one, other in RIVALS:
            if getattr(self, one) is not None and getattr(self, other) is not None:
                raise ValueError(f"Give either {one}= or {other}=, not both.")
        check_on_error(self.on_error)
        if self.candidate_labels is not None and not isinstance(self.candidate_labels, str):
            # An array or a Series would not compare, and a generator can be read once. The dataclass is frozen.
            labels = texts_of(list(self.candidate_labels), "list candidate_labels")
            object.__setattr__(self, "candidate_labels", labels)
        checks: dict[str, Callable[[str, Any], Any]] = {
            "top_k": partial(check_whole_number, least=1, because=", or None for all labels"),
            "max_length": partial(check_whole_number, least=1),
            "temperature": check_temperature,
            "truncation": check_truth_value,
        }
        for name, check in checks.items():
            if (value := getattr(self, name)) is not None and value is not NOT_GIVEN:
                object.__setattr__(self, name, check(name, value))

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> "ClozeSettings":
        """Read keyword arguments. Raises a `TypeError` for unknown ones."""
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(given) - known):
            raise TypeError(f"Unknown arguments {unknown}: the pipeline takes {sorted(known)}.")
        return cls(**given)

    def override(self, given: Mapping[str, Any]) -> "ClozeSettings":
        """Return the settings with those of a call in place of them; a call's setting replaces its rival too."""
        asked = ClozeSettings.read(given)
        changes = dict(given)
        for pair in RIVALS:
            # A call with candidate_labels does not keep the verbalizer of the pipeline.
            if any(getattr(asked, name) is not None for name in pair):
                changes |= {name: getattr(asked, name) for name in pair}
        return dataclasses.replace(self, **changes)

    @property
    def zero_shot(self) -> bool:
        """Whether the question is that of Transformers' zero-shot pipeline: labels without a pattern."""
        return self.candidate_labels is not None and self.pattern is None

    @property
    def names_question(self) -> bool:
        """Whether the settings say anything about pattern or words."""
        return any(getattr(self, name) is not None for pair in RIVALS for name in pair)

    @property
    def names_words(self) -> bool:
        """Whether the settings define a task of their own, with words."""
        has_own_words = not isinstance(self.pattern, str | None)
        return self.verbalizer is not None or self.candidate_labels is not None or has_own_words

    def task(self, saved: Mapping[str, Any] | None) -> PatternVerbalizer:
        """
        Return the task to ask: that of the settings, or else the saved one.

        Raises:
            ValueError: If there is no task, or if pattern and words do not go together.
        """
        pattern, verbalizer = self.pattern, self.verbalizer
        if self.candidate_labels is not None:
            verbalizer = {label.strip(): label for label in _read_labels(self.candidate_labels)}
        if isinstance(pattern, PatternVerbalizer):
            if verbalizer is not None:
                raise ValueError("pattern= is a task with words of its own: give no other words with it.")
            return pattern
        if pattern is not None:
            if isinstance(pattern, str) and verbalizer is None:
                raise ValueError(f"pattern={pattern!r} has no words: give verbalizer= or candidate_labels= as well.")
            return PatternVerbalizer(pattern, verbalizer)
        if self.candidate_labels is not None:
            return PatternVerbalizer("{text|shorten} " + _read_template(self.hypothesis_template), verbalizer)
        if verbalizer is not None:
            raise ValueError("verbalizer= needs pattern=: give both.")
        if self.hypothesis_template is not None:
            raise ValueError("hypothesis_template= needs candidate_labels=: give both.")
        if saved is None:
            raise ValueError(
                "There is no task: the tokenizer carries none. Give pattern= and words, or candidate_labels=."
            )
        return PatternVerbalizer.from_dict(saved)

    def read_calibration(self, own: Calibration) -> Calibration:
        """
        Return the calibration to use.

        Args:
            own: That of the task, which counts if the settings give none.

        Raises:
            ValueError: For all that `Calibration` refuses, and for a domain premise without "pmi".
        """
        given = own if isinstance(self.calibration, NotGiven) else self.calibration
        if not isinstance(given, Calibration):
            premise = own.domain_premise if self.domain_premise is None else self.domain_premise
            given = Calibration(given, own.content_free, premise)
        if self.domain_premise is not None and given.method != "pmi":
            raise ValueError(
                f"domain_premise={self.domain_premise!r} is for calibration='pmi', but it is {given.method!r}."
            )
        premise = given.domain_premise if self.domain_premise is None else self.domain_premise
        temperature = given.temperature if self.temperature is None else self.temperature
        return dataclasses.replace(given, domain_premise=premise, temperature=temperature)


def _read_labels(labels: str | Sequence[str]) -> list[str]:
    # In a list, a space in front of a label belongs to its word: it is literal.
    split = [part.strip() for part in labels.split(",")] if isinstance(labels, str) else labels
    read = [label for label in split if label.strip()]
    if not read:
        raise ValueError(f"candidate_labels={labels!r} is empty: expected at least two labels.")
    if len({label.strip() for label in read}) < len(read):
        raise ValueError(f"candidate_labels={labels!r} has a label twice.")
    return read


def _read_template(template: str | None) -> str:
    template = DEFAULT_TEMPLATE if template is None else template
    try:
        filled = template.format("[MASK]")
    except (IndexError, KeyError, ValueError):
        filled = ""
    if filled.count("[MASK]") != 1:
        raise ValueError(f"hypothesis_template={template!r}: expected one {{}}, where the labels go.")
    return filled.replace("{", "{{").replace("}", "}}")  # in a pattern, single braces would be fields

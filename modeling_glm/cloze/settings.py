"""Read the settings of the cloze pipeline: which task, which words, which calibration."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any

from ..tokenization import PatternVerbalizer
from ..utils.numbers import check_real_number, check_temperature, check_truth_value, check_whole_number
from ..utils.rows import OnError, check_on_error
from .answers.multi_label import CANDIDATE, read_candidates, split_labels
from .calibration import Calibration, CalibrationMethod

# The two settings of a pair say the same in two ways.
RIVALS = (("pattern", "hypothesis_template"), ("verbalizer", "candidate_labels"))
DEFAULT_TEMPLATE = "This example is {}."  # as in Transformers' zero-shot pipeline
YES_NO = {"true": "True", "false": "False"}


class NotGiven(Enum):
    """Marks a setting that was not given, if None has a meaning of its own."""

    NOT_GIVEN = "not given"


NOT_GIVEN = NotGiven.NOT_GIVEN


@dataclass(frozen=True, kw_only=True)
class ClozeSettings:
    """
    The settings of a pipeline or of one call. `ClozeClassificationPipeline.__call__` describes them.

    Raises:
        ValueError: For both settings of a rival pair, numbers out of range, and an unknown `on_error`.
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
    threshold: float | NotGiven | None = NOT_GIVEN
    prediction_sets: bool = False
    on_error: OnError = "raise"

    def __post_init__(self):
        object.__setattr__(self, "multi_label", check_truth_value("multi_label", self.multi_label))  # it is frozen
        for one, other in self._rivals(self.multi_label):
            if getattr(self, one) is not None and getattr(self, other) is not None:
                raise ValueError(f"Give either {one}= or {other}=, not both.")
        if self.multi_label and self.prediction_sets:
            raise ValueError("prediction_sets=True is for labels of which one is right: leave out multi_label=True.")
        check_on_error(self.on_error)
        if self.candidate_labels is not None and not isinstance(self.candidate_labels, str):
            # An array or a Series would not compare, and a generator can be read once. The dataclass is frozen.
            labels = split_labels(self.candidate_labels, "list candidate_labels")
            object.__setattr__(self, "candidate_labels", labels)
        checks: dict[str, Callable[[str, Any], Any]] = {
            "top_k": partial(check_whole_number, least=1, because=", or None for all labels"),
            "max_length": partial(check_whole_number, least=1),
            "temperature": check_temperature,
            "truncation": check_truth_value,
            "threshold": partial(check_real_number, least=0, most=1),
            "prediction_sets": check_truth_value,
        }
        for name, check in checks.items():
            if (value := getattr(self, name)) is not None and value is not NOT_GIVEN:
                object.__setattr__(self, name, check(name, value))

    @staticmethod
    def _rivals(multi_label: bool) -> tuple[tuple[str, str], ...]:
        """Return the pairs of which only one may be given. With several labels, the words are those for yes and no."""
        return RIVALS[:1] if multi_label else RIVALS

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
        for pair in self._rivals(bool(changes.get("multi_label", self.multi_label))):
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
        """Whether the settings say anything about pattern or words, or ask about several labels."""
        return self.multi_label or any(getattr(self, name) is not None for pair in RIVALS for name in pair)

    @property
    def names_words(self) -> bool:
        """Whether the settings define a task of their own, with words."""
        if self.multi_label:
            return self.candidate_labels is not None
        has_own_words = not isinstance(self.pattern, str | None)
        return self.verbalizer is not None or self.candidate_labels is not None or has_own_words

    def task(self, saved: Mapping[str, Any] | None) -> PatternVerbalizer:
        """
        Return the task to ask: that of the settings, or else the saved one.

        Raises:
            ValueError: If there is no task, or if pattern and words do not go together.
        """
        if self.multi_label:
            return self._yes_no_task(saved)
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

    def _yes_no_task(self, saved: Mapping[str, Any] | None) -> PatternVerbalizer:
        """Return the question to ask about every candidate: that of the settings, or else a saved one about candidates."""
        if self.candidate_labels is None:
            raise ValueError("multi_label=True asks about each of several labels: give candidate_labels=.")
        words = YES_NO if self.verbalizer is None else self.verbalizer
        if isinstance(self.pattern, PatternVerbalizer):
            task = self.pattern
        elif self.pattern is not None:
            task = PatternVerbalizer(self.pattern, words)
        elif self.hypothesis_template is None and saved is not None and _asks_about_candidates(saved):
            task = PatternVerbalizer.from_dict(saved)
        else:
            statement = _read_template(self.hypothesis_template, f"{{{CANDIDATE}}}")
            task = PatternVerbalizer(f"{{text|shorten}} {statement} True or false? [MASK].", words)
        read_candidates(self.candidates, task)
        return task

    @property
    def candidates(self) -> list[str]:
        """The candidate labels, without white space around them. Raises a `ValueError` if there are none."""
        return [label.strip() for label in _read_labels(self.candidate_labels or "")]

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
    read = [label for label in split_labels(labels, "list candidate_labels") if label.strip()]
    if not read:
        raise ValueError(f"candidate_labels={labels!r} is empty: expected at least two labels.")
    if len({label.strip() for label in read}) < len(read):
        raise ValueError(f"candidate_labels={labels!r} has a label twice.")
    return read


def _read_template(template: str | None, label: str = "[MASK]") -> str:
    """Return a template as a part of a pattern, with `label` in the place of its {}."""
    template = DEFAULT_TEMPLATE if template is None else template
    mark = "\0"
    try:
        filled = template.format(mark)
    except (IndexError, KeyError, ValueError):
        filled = ""
    if filled.count(mark) != 1:
        raise ValueError(f"hypothesis_template={template!r}: expected one {{}}, where the labels go.")
    # In a pattern, single braces would be fields.
    return filled.replace("{", "{{").replace("}", "}}").replace(mark, label)


def _asks_about_candidates(saved: Mapping[str, Any]) -> bool:
    return CANDIDATE in PatternVerbalizer.from_dict(saved).fields

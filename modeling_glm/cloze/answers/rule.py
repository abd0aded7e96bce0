"""Describe when a classifier answers, and how many labels it names. The rule is saved with the task."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...utils.numbers import check_real_number
from .conformal import in_prediction_set, least_examples
from .reliability import check_probabilities


@dataclass(frozen=True)
class AnswerGoals:
    """
    Say what a rule shall reach.

    Args:
        accuracy: The accuracy of the answers, or None to answer everything; see `ClozeClassifier.fit_threshold`.
        coverage: The share of prediction sets with the right label, or None without sets; see
            `ClozeClassifier.fit_coverage`.

    Raises:
        ValueError: For a number out of range.
    """

    accuracy: float | None = None
    coverage: float | None = None

    def __post_init__(self):
        if self.accuracy is not None:
            # The dataclass is frozen.
            object.__setattr__(self, "accuracy", check_real_number("accuracy", self.accuracy, least=0, most=1))
        self.least_examples  # noqa: B018  # raises if the coverage is out of range

    @property
    def least_examples(self) -> int:
        """How many labelled examples the goals need."""
        if self.coverage is not None:
            return least_examples(self.coverage)
        return 0 if self.accuracy is None else 1


NO_GOALS = AnswerGoals()


@dataclass(frozen=True)
class AnswerRule:
    """
    Describe what becomes an answer. It belongs to the probabilities of one calibration; the value never changes.

    Args:
        threshold: An example is answered if its best label has at least this probability. None answers all.
        coverage: The share of examples whose prediction set shall have the right label, or None without sets.
        quantile: What `find_quantile` found for that coverage.

    Raises:
        ValueError: For a number out of range, and for a coverage without its quantile.
    """

    threshold: float | None = None
    coverage: float | None = None
    quantile: float | None = None

    def __post_init__(self):
        for field in fields(self):
            if (value := getattr(self, field.name)) is not None:
                # The dataclass is frozen.
                object.__setattr__(self, field.name, check_real_number(field.name, value, least=0, most=1))
        if (self.coverage is None) != (self.quantile is None):
            raise ValueError(
                f"coverage={self.coverage} and quantile={self.quantile} go together: give both or none of them."
            )

    def measure(self, probabilities: ArrayLike, labels: ArrayLike) -> dict[str, float]:
        """
        Measure on labelled examples what the rule brings.

        Args:
            probabilities: (examples, classes), 0 for absent classes.
            labels: (examples,) right classes.

        Returns:
            With a threshold "answered", the share of the examples that is answered, and, if there are any,
            "answer_accuracy", the share of right answers among them. With a coverage "coverage", the share of sets with
            the right label, and "set_size", the mean number of labels of a set.

        Raises:
            ValueError: For all that `measure_reliability` refuses.
        """
        values, right = check_probabilities(probabilities, labels)
        measured = {}
        if self.threshold is not None:
            answered = values.max(1) >= self.threshold
            measured["answered"] = float(answered.mean())
            if answered.any():
                measured["answer_accuracy"] = float((values.argmax(1) == right)[answered].mean())
        if self.quantile is not None:
            inside = in_prediction_set(values, self.quantile) & (values > 0)
            measured["coverage"] = float(inside[np.arange(len(right)), right].mean())
            measured["set_size"] = float(inside.sum(1).mean())
        return measured

    def to_dict(self) -> dict[str, float]:
        """Return the values that are set, as JSON can hold them; `from_dict` reads them."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any] | None) -> "AnswerRule":
        """Read what `to_dict` wrote; None means no rule. Raises a `ValueError` for unknown keys."""
        known = [field.name for field in fields(cls)]
        if unknown := sorted(set(data or {}) - set(known)):
            raise ValueError(f"Unknown keys {unknown} of an answer rule: expected {known}.")
        return cls(**(data or {}))


__all__ = ["NO_GOALS", "AnswerGoals", "AnswerRule"]

"""Turn the scores of a classifier into answers: one label or none, the best ones, or a set that has the right one."""

import dataclasses
from abc import ABC, abstractmethod
from typing import Any, Literal, NamedTuple, overload

import numpy as np

from ...utils.numbers import check_real_number, check_whole_number
from ...utils.rows import CheckedRows, OnError, RowError
from .conformal import find_quantile, in_prediction_set
from .reliability import FoundThreshold, find_threshold
from .rule import AnswerRule


class RankedLabel(NamedTuple):
    """A label and its calibrated probability."""

    label: str
    probability: float


class Answering(ABC):
    """
    Answer with the scores of a classifier.

    The rule says what becomes an answer. It belongs to the current calibration: another calibration or temperature drops it.
    """

    @property
    @abstractmethod
    def answer_rule(self) -> AnswerRule:
        """The current rule, an immutable value; `fit_threshold` and `fit_coverage` set another one."""

    @abstractmethod
    def set_answer_rule(self, rule: AnswerRule):
        """Use a rule from now on. It is saved with the task."""

    @abstractmethod
    def to_probabilities(self, calibrated_scores: np.ndarray) -> np.ndarray:
        """Turn calibrated scores (examples, classes) into float64 probabilities with the temperature."""

    @abstractmethod
    def _score_names(self, examples: Any, on_error: OnError) -> tuple[CheckedRows[list[str]], np.ndarray]:
        """Return the names of the classes of every good example, and their calibrated scores (examples, classes)."""

    @abstractmethod
    def _score_labelled(self, examples: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the calibrated scores of labelled examples (examples, classes), and their classes (examples,)."""

    @overload
    def predict(self, examples: Any, *, on_error: Literal["raise"] = "raise") -> list[str]: ...

    @overload
    def predict(self, examples: Any, *, on_error: OnError) -> list[str | RowError]: ...

    def predict(self, examples: Any, *, on_error: OnError = "raise") -> list[str] | list[str | RowError]:
        """
        Return the label of every example, or the text of the chosen one of its own choices.

        Args:
            examples: The examples.
            on_error: "raise" stops at the first example that cannot be used. "record" puts its `RowError` in its place,
                and the other examples get their labels.
        """
        checked, scores = self._score_names(examples, on_error)
        chosen = scores.argmax(1).tolist() if checked.good else []
        return checked.restore([names[number] for names, number in zip(checked.good, chosen, strict=True)])

    @overload
    def predict_or_abstain(
        self, examples: Any, *, threshold: float | None = None, on_error: Literal["raise"] = "raise"
    ) -> list[str | None]: ...

    @overload
    def predict_or_abstain(
        self, examples: Any, *, threshold: float | None = None, on_error: OnError
    ) -> list[str | RowError | None]: ...

    def predict_or_abstain(
        self, examples: Any, *, threshold: float | None = None, on_error: OnError = "raise"
    ) -> list[str | None] | list[str | RowError | None]:
        """
        Return the label of every example as `predict` does, or None where its probability is too low.

        Args:
            examples: The examples.
            threshold: The least probability of an answer. None means the threshold of the answer rule.
            on_error: As in `predict`.

        Raises:
            RowError: For an example that cannot be used.
            ValueError: For a threshold out of range, and without one if the answer rule has none either.
        """
        threshold = self.answer_rule.threshold if threshold is None else threshold
        if threshold is None:
            raise ValueError(
                "There is no threshold: give threshold=, or call fit_threshold(examples, accuracy) with labelled examples. "
                "Another calibration or temperature drops what it found."
            )
        threshold = check_real_number("threshold", threshold, least=0, most=1)
        ranked = self.predict_top(examples, 1, on_error=on_error)
        return [
            row if isinstance(row, RowError) else row[0].label if row[0].probability >= threshold else None
            for row in ranked
        ]

    @overload
    def predict_top(
        self, examples: Any, k: int | None = None, *, on_error: Literal["raise"] = "raise"
    ) -> list[list[RankedLabel]]: ...

    @overload
    def predict_top(
        self, examples: Any, k: int | None = None, *, on_error: OnError
    ) -> list[list[RankedLabel] | RowError]: ...

    def predict_top(
        self, examples: Any, k: int | None = None, *, on_error: OnError = "raise"
    ) -> list[list[RankedLabel]] | list[list[RankedLabel] | RowError]:
        """
        Return the most probable labels of every example, best first, each with its probability.

        Args:
            examples: The examples.
            k: The number of labels; None returns all. An example with fewer choices of its own has fewer.
            on_error: As in `predict`.
        """
        if k is not None:
            k = check_whole_number("k", k, least=1, because=", or None for all labels")
        checked, scores = self._score_names(examples, on_error)
        rows = zip(checked.good, self.to_probabilities(scores), strict=True)
        return checked.restore([rank(names, row)[:k] for names, row in rows])

    @overload
    def predict_sets(self, examples: Any, *, on_error: Literal["raise"] = "raise") -> list[list[str]]: ...

    @overload
    def predict_sets(self, examples: Any, *, on_error: OnError) -> list[list[str] | RowError]: ...

    def predict_sets(
        self, examples: Any, *, on_error: OnError = "raise"
    ) -> list[list[str]] | list[list[str] | RowError]:
        """
        Return a set of labels for every example, best first, that has the right one as often as `fit_coverage` was asked.

        A set with one label is an answer. One with several leaves the choice to a person. An empty one says that no label
        is probable enough, so the example is unlike those of `fit_coverage`, or harder.

        Args:
            examples: The examples.
            on_error: As in `predict`.

        Raises:
            RowError: For an example that cannot be used.
            ValueError: If the answer rule has no coverage.
        """
        quantile = self.require_quantile()
        checked, scores = self._score_names(examples, on_error)
        rows = zip(checked.good, self.to_probabilities(scores), strict=True)
        return checked.restore([[found.label for found in take_set(rank(*row), quantile)] for row in rows])

    def fit_threshold(self, examples: Any, accuracy: float) -> float:
        """
        Set and return the lowest threshold for which the answered ones of labelled examples reach an accuracy.

        Fit the temperature before: another one drops the threshold. Give examples that neither training nor the
        temperature has seen. The threshold is the best for these, so expect a little less of others.

        Args:
            examples: Labelled examples; for labels see `score`.
            accuracy: The accuracy to reach, from 0 to 1.

        Raises:
            RowError: For an example without a label.
            ValueError: If no threshold reaches the accuracy.
        """
        found = self.find_threshold(examples, accuracy)
        self.set_answer_rule(dataclasses.replace(self.answer_rule, threshold=found.value))
        return found.value

    def find_threshold(self, examples: Any, accuracy: float) -> FoundThreshold:
        """Find what `fit_threshold` would set, with the accuracy and the share of the examples that is answered."""
        scores, labels = self._score_labelled(examples)
        return find_threshold(self.to_probabilities(scores), labels, accuracy)

    def fit_coverage(self, examples: Any, coverage: float = 0.9) -> float:
        """
        Make `predict_sets` return sets that have the right label with a probability of at least `coverage`.

        This is split conformal prediction; see `find_quantile`. It holds for any model, right or wrong, if the examples
        come from where later ones come from, and neither training nor the temperature has seen them. It is an average
        over all examples, not a promise for every label or kind of text.

        Args:
            examples: Labelled examples, at least coverage / (1 - coverage): 9 for 0.9, 99 for 0.99.
            coverage: The share of sets that shall have the right label, above 0 and below 1.

        Returns:
            The least probability of a label in a set.

        Raises:
            RowError: For an example without a label.
            ValueError: For too few examples, or a coverage out of range.
        """
        scores, labels = self._score_labelled(examples)
        quantile = find_quantile(self.to_probabilities(scores), labels, coverage)
        self.set_answer_rule(dataclasses.replace(self.answer_rule, coverage=coverage, quantile=quantile))
        return 1 - quantile

    def require_quantile(self) -> float:
        """Return the quantile of the answer rule. Raises a `ValueError` if it has none."""
        quantile = self.answer_rule.quantile
        if quantile is None:
            raise ValueError(
                "There are no prediction sets: call fit_coverage(examples, coverage) with labelled examples first. Another "
                "calibration or temperature drops what it found."
            )
        return quantile


def rank(names: list[str], probabilities: np.ndarray) -> list[RankedLabel]:
    """Order the labels of an example by their probabilities (classes,), best first. Absent classes are left out."""
    present = probabilities[: len(names)]
    order = np.argsort(-present, kind="stable")
    return [RankedLabel(names[place], float(present[place])) for place in order]


def take_set(ranked: list[RankedLabel], quantile: float) -> list[RankedLabel]:
    """Return the labels that belong to the prediction set."""
    inside = in_prediction_set([probability for _, probability in ranked], quantile)
    return [found for found, is_in in zip(ranked, inside, strict=True) if is_in]


__all__ = ["Answering", "RankedLabel", "rank", "take_set"]

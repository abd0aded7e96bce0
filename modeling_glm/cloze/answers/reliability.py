"""Measure how far probabilities can be trusted: confidence against accuracy, and accuracy against the share answered."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ...utils.numbers import check_real_number, check_whole_number
from ..calibration import check_labelled


@dataclass(frozen=True)
class Reliability:
    """
    Hold examples in bins of equal width by the probability of the predicted class. Empty bins are left out.

    Attributes:
        numbers: (bins,) numbers of the bins, from 0.
        counts: (bins,) examples in each.
        confidence: (bins,) mean probability of the predicted class.
        accuracy: (bins,) share of right predictions.
    """

    numbers: np.ndarray
    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    @property
    def error(self) -> float:
        """The expected calibration error: the mean over all examples of the difference within their bin."""
        differences = self.counts * np.abs(self.accuracy - self.confidence)
        return float(differences.sum() / self.counts.sum())


@dataclass(frozen=True)
class SelectiveAccuracy:
    """
    Hold what a threshold leaves unanswered and what that brings, from the highest threshold to answering all.

    Attributes:
        thresholds: (points,) confidences of examples, falling. An example with at least this confidence is answered.
        answered: (points,) share of the examples that is answered, rising to 1.
        accuracy: (points,) share of right predictions among those.
    """

    thresholds: np.ndarray
    answered: np.ndarray
    accuracy: np.ndarray


@dataclass(frozen=True)
class FoundThreshold:
    """
    The lowest threshold that reaches an accuracy.

    Attributes:
        value: The threshold.
        accuracy: Share of right predictions among the answered examples.
        answered: Share of the examples that is answered.
    """

    value: float
    accuracy: float
    answered: float


def measure_reliability(probabilities: ArrayLike, labels: ArrayLike, bins: int = 15) -> Reliability:
    """
    Sort examples into bins by the probability of the predicted class (Guo et al. 2017, section 2).

    Args:
        probabilities: (examples, classes), 0 for absent classes.
        labels: (examples,) right classes.
        bins: Number of bins between 0 and 1; a bin includes its upper edge.

    Raises:
        ValueError: If there are no examples, shapes do not fit, rows do not sum to 1, a label is not one of the classes,
            or `bins` is below 1.
    """
    values, right = check_probabilities(probabilities, labels)
    bins = check_whole_number("bins", bins, least=1, most=2**53, because=", because float64 counts no further")
    confidence, correct = values.max(1), values.argmax(1) == right
    # Five bins: 0.2 -> 0, 0.21 -> 1, 1.0 -> 4
    places = np.clip(np.ceil(confidence * bins) - 1, 0, bins - 1).astype(np.int64)
    numbers, bin_of, counts = np.unique(places, return_inverse=True, return_counts=True)
    sums = (np.bincount(bin_of, weights=weights) for weights in (confidence, correct))
    return Reliability(numbers, counts, *(total / counts for total in sums))


def expected_calibration_error(probabilities: ArrayLike, labels: ArrayLike, bins: int = 15) -> float:
    """
    Measure by how much confidence and accuracy differ.

    Examples go into bins of equal width by the probability of the predicted class. The result is the mean over all
    examples of the difference within their bin (Guo et al. 2017, equation 3).

    Args:
        probabilities: (examples, classes), 0 for absent classes.
        labels: (examples,) right classes.
        bins: Number of bins between 0 and 1; a bin includes its upper edge.

    Returns:
        A number from 0 (calibrated) to 1.

    Raises:
        ValueError: For all that `measure_reliability` refuses.
    """
    return measure_reliability(probabilities, labels, bins).error


def selective_accuracy(probabilities: ArrayLike, labels: ArrayLike) -> SelectiveAccuracy:
    """
    Measure the accuracy of the most confident predictions, for every share of the examples (El-Yaniv and Wiener 2010).

    Args:
        probabilities: (examples, classes), 0 for absent classes.
        labels: (examples,) right classes.

    Returns:
        One point per confidence: examples of equal confidence are answered together or not at all.

    Raises:
        ValueError: For all that `measure_reliability` refuses.

    Example:

    ```python
    >>> curve = selective_accuracy([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7]], [0, 1, 1])
    >>> curve.answered.round(2), curve.accuracy.round(2)
    (array([0.33, 0.67, 1.  ]), array([1.  , 1.  , 0.67]))
    ```
    """
    values, right = check_probabilities(probabilities, labels)
    confidence, correct = values.max(1), values.argmax(1) == right
    # Confidences 0.9 0.7 0.7 0.6 -> the last of each: places 0, 2, 3
    order = np.argsort(-confidence, kind="stable")
    ordered = confidence[order]
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    return SelectiveAccuracy(ordered[last], (last + 1) / len(right), correct[order].cumsum()[last] / (last + 1))


def find_threshold(probabilities: ArrayLike, labels: ArrayLike, accuracy: float) -> FoundThreshold:
    """
    Find the lowest threshold for which the answered examples reach an accuracy, so that most of them are answered.

    It is the best one for these examples, so expect a little less of others: measure it on a second set.

    Args:
        probabilities: (examples, classes), 0 for absent classes.
        labels: (examples,) right classes.
        accuracy: The accuracy to reach, from 0 to 1.

    Raises:
        ValueError: For all that `measure_reliability` refuses, an accuracy out of range, and if no threshold reaches it.
    """
    accuracy = check_real_number("accuracy", accuracy, least=0, most=1)
    curve = selective_accuracy(probabilities, labels)
    reached = np.flatnonzero(curve.accuracy >= accuracy)
    if not len(reached):
        best = int(curve.accuracy.argmax())
        raise ValueError(
            f"accuracy={accuracy:g}: no threshold reaches it. The best is {curve.accuracy[best]:.3g}, if "
            f"{curve.answered[best]:.1%} of the examples are answered. Ask for less, or train the model further."
        )
    place = int(reached[-1])
    # Halfway to the next confidence: batches change probabilities in the seventh digit.
    edge = curve.thresholds[place : place + 2].mean() if place + 1 < len(curve.thresholds) else 0.0
    return FoundThreshold(float(edge), float(curve.accuracy[place]), float(curve.answered[place]))


def check_probabilities(probabilities: ArrayLike, labels: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """
    Return probabilities as float64 (examples, classes) and the labels as int64 (examples,).

    Raises:
        ValueError: If there are no examples, shapes do not fit, rows do not sum to 1, or a label is not one of the classes.
    """
    values, right = check_labelled(probabilities, labels, "probabilities", absent_allowed=True)
    if values.min() < 0 or not np.allclose(values.sum(1), 1, atol=1e-3):
        raise ValueError(
            "probabilities has rows that do not sum to 1, or negative numbers: give the softmax of scores."
        )
    return values, right


__all__ = [
    "FoundThreshold",
    "Reliability",
    "SelectiveAccuracy",
    "check_probabilities",
    "expected_calibration_error",
    "find_threshold",
    "measure_reliability",
    "selective_accuracy",
]

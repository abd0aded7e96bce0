"""
Find sets of labels that have the right one as often as asked: split conformal prediction (Vovk et al. 2005).

The score of a label is 1 minus its probability, which gives the smallest sets on average (Sadinle et al. 2019). MAPIE does
the same for classifiers of scikit-learn. It wants one array of features and the same classes for every example, and keeps no
state that JSON can hold; what remains of it here is one quantile.
"""

import math
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike

from ...utils.numbers import check_real_number
from .reliability import check_probabilities

# Batches change probabilities in the seventh digit. A label at the edge is in the set, so the coverage is never below.
EDGE = 1e-6


def least_examples(coverage: float) -> int:
    """Return how many labelled examples a coverage needs: 9 for 0.9, 99 for 0.99."""
    share = _read_coverage(coverage)
    return math.ceil(share / (1 - share))


def find_quantile(probabilities: ArrayLike, labels: ArrayLike, coverage: float) -> float:
    """
    Find the score up to which labels belong to a prediction set.

    With n examples it is the ceil((n + 1) * coverage)-th smallest score of a right label. The sets of further examples then
    have their right label with a probability of at least `coverage`, and at most 1 / (n + 1) more if no scores are equal.
    This holds for any model, if all examples come from one source, and neither training nor the temperature saw these.

    Args:
        probabilities: (examples, classes), 0 for absent classes.
        labels: (examples,) right classes.
        coverage: The share of sets that shall have the right label, above 0 and below 1.

    Returns:
        A number from 0 to 1. A set has the labels with a probability of at least 1 minus this.

    Raises:
        ValueError: For all that `measure_reliability` refuses, a coverage out of range, and too few examples for it.

    Example:

    ```python
    >>> round(find_quantile([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.2, 0.8]], [0, 1, 1, 1], 0.6), 6)
    0.3
    ```
    """
    share = _read_coverage(coverage)
    values, right = check_probabilities(probabilities, labels)
    place = math.ceil((len(right) + 1) * share)
    if place > len(right):
        raise ValueError(
            f"coverage={coverage:g} needs at least {least_examples(coverage)} labelled examples, but there are "
            f"{len(right)}: give more, or ask for less."
        )
    scores = 1 - values[np.arange(len(right)), right]
    return float(np.sort(scores)[place - 1])


def in_prediction_set(probabilities: ArrayLike, quantile: float) -> np.ndarray:
    """
    Find the labels of prediction sets.

    Args:
        probabilities: (..., classes), 0 for absent classes.
        quantile: What `find_quantile` found.

    Returns:
        (..., classes) bool. A set is empty where no label is probable enough.
    """
    return np.asarray(probabilities, dtype=np.float64) >= 1 - quantile - EDGE


def _read_coverage(coverage: float) -> Fraction:
    """Return the coverage as it is written: 0.9 * 10 is 9 examples, not 9.000000000000002."""
    checked = check_real_number("coverage", coverage, above=0.0, most=1 - EDGE)
    return Fraction(repr(checked))


__all__ = ["find_quantile", "in_prediction_set", "least_examples"]

"""
Probabilities that can be trusted: corrections of the scores of classes, and how well probabilities fit the truth.

Nothing here needs a model: see `cloze_classifier` for that. Scores are logarithms of probabilities up to a constant, -inf
for a class that an example does not have.
"""

import math
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike

from ..tokenization import PatternVerbalizer
from ..tokenization.cloze.syntax import Field, parse, parse_pattern, space_before_blank

CalibrationMethod = Literal["contextual", "pmi"]
CONTENT_FREE = ("N/A", "[MASK]", "")
LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.01, 100.0


@dataclass(frozen=True)
class Calibration:
    """
    How the scores of a cloze task become probabilities. It is saved with the task: see [`ClozeClassifier.calibrate`].

    Args:
        method: "contextual" takes away what the model answers to texts that say nothing (Zhao et al. 2021, "Calibrate
            Before Use"), "pmi" what it answers to a domain premise, which leaves the pointwise mutual information of
            text and answer (Holtzman et al. 2021, "Surface Form Competition"). None takes the scores as they are.
        content_free: The texts that say nothing, for "contextual". They stand in fields, so a "[MASK]" among them is
            tokenized as the letters that it is written with, and is no second blank.
        domain_premise: For "pmi", a pattern with one blank: `"The topic is [MASK]."`.
        temperature: What the corrected scores are divided by (Guo et al. 2017); see [`fit_temperature`].

    Raises:
        ValueError: for an unknown method, "contextual" without texts, "pmi" without a domain premise, and a temperature
            that is not above 0.
    """

    method: CalibrationMethod | None = None
    content_free: tuple[str, ...] = CONTENT_FREE
    domain_premise: str | None = None
    temperature: float = 1.0

    def __post_init__(self):
        texts = (self.content_free,) if isinstance(self.content_free, str) else tuple(self.content_free)
        object.__setattr__(self, "content_free", texts)
        if self.method not in (None, "contextual", "pmi"):
            raise ValueError(f"Calibration method {self.method!r}: expected 'contextual', 'pmi' or None.")
        if self.method == "contextual" and not texts:
            raise ValueError(
                "content_free is empty: contextual calibration needs texts that say nothing, as ('N/A',)."
            )
        if self.method == "pmi" and self.domain_premise is None:
            raise ValueError(
                "Calibration by 'pmi' needs a domain_premise: a pattern with one blank, such as 'The topic is [MASK].'."
            )
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"temperature={self.temperature!r}: expected a number above 0.")

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it; [`from_dict`] reads it."""
        return {**asdict(self), "content_free": list(self.content_free)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any] | None) -> "Calibration":
        """What [`to_dict`] wrote; None is no calibration. Raises a `ValueError` for keys that it does not know."""
        known = [field.name for field in fields(cls)]
        if unknown := sorted(set(data or {}) - set(known)):
            raise ValueError(f"Unknown keys {unknown} of a calibration: expected {known}.")
        return cls(**(data or {}))


def fit_temperature(scores: ArrayLike, labels: ArrayLike) -> float:
    """
    The temperature T that makes softmax(scores / T) fit the labels of a validation split best: of least mean negative
    log-likelihood, which is convex in 1 / T (Guo et al. 2017, section 4.2).

    Args:
        scores: (examples, classes), -inf for absent classes.
        labels: (examples,) right classes.

    Returns:
        A number from 0.01 to 100; 1.0 where no temperature changes anything. There is a warning if it is one of the
        bounds: all examples are right, so that nothing holds the temperature up, or scores are no better than chance.

    Raises:
        ValueError: for no examples, shapes that do not fit, scores that are NaN or +inf, and labels that are none of the
            classes or absent.
    """
    values, right = _check(scores, labels, "scores")
    table = torch.from_numpy(values)
    gaps = table - table.gather(1, torch.from_numpy(right)[:, None])  # (examples, classes), 0 for the right class

    def slope(temperature: float) -> float:
        """The derivative of the loss with respect to 1 / T, which grows with 1 / T."""
        weights = (gaps / temperature).softmax(1)
        return float((weights * gaps.masked_fill(weights == 0, 0.0)).sum(1).mean())

    low, high = LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE
    if not gaps.masked_fill(gaps == -math.inf, 0.0).any():
        return 1.0
    if slope(low) <= 0 or slope(high) >= 0:
        bound = low if slope(low) <= 0 else high
        cause = "all examples are right" if bound == low else "the scores are no better than chance"
        warnings.warn(
            f"The temperature that fits {len(right)} examples best is out of bounds, so {bound} is taken: {cause}. Give "
            "more examples, which the model has not been trained on, or leave the temperature at 1.",
            stacklevel=2,
        )
        return bound
    for _ in range(60):  # halves the interval of log T
        middle = math.sqrt(low * high)
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    return math.sqrt(low * high)


def expected_calibration_error(probabilities: ArrayLike, labels: ArrayLike, bins: int = 15) -> float:
    """
    By how much confidence and accuracy differ: examples are put into bins of equal width by the probability of the
    predicted class, and the differences are averaged over the examples (Guo et al. 2017, equation 3).

    Args:
        probabilities: (examples, classes), 0 for absent classes.
        labels: (examples,) right classes.
        bins: Number of bins between 0 and 1; a bin includes its upper edge.

    Returns:
        A number from 0 (calibrated) to 1.

    Raises:
        ValueError: for no examples, shapes that do not fit, rows that do not sum to 1, labels that are none of the
            classes, and less than one bin.
    """
    values, right = _check(probabilities, labels, "probabilities", absent_allowed=True)
    if bins < 1:
        raise ValueError(f"bins={bins}: expected at least 1.")
    if values.min() < 0 or not np.allclose(values.sum(1), 1, atol=1e-3):
        raise ValueError(
            "probabilities has rows that do not sum to 1, or negative numbers: give the softmax of scores."
        )
    confidence, correct = values.max(1), values.argmax(1) == right
    bin_of = np.clip(np.ceil(confidence * bins) - 1, 0, bins - 1).astype(int)
    differences = np.bincount(bin_of, weights=correct - confidence, minlength=bins)  # size * (accuracy - confidence)
    return float(np.abs(differences).sum() / len(right))


def contextual_bias(scores: ArrayLike) -> np.ndarray:
    """
    The bias that makes the answer to a text without content uniform: minus the logarithm of the probabilities that it
    gets, averaged over several such texts (Zhao et al. 2021, section 5).

    Args:
        scores: (texts, classes), -inf for absent classes.

    Returns:
        (classes,) float64, to be added to scores; 0 for absent classes.

    Raises:
        ValueError: for a table without texts or with a row of nothing but absent classes, and for NaN or +inf.
    """
    values = _table(scores, "scores")
    mean = torch.from_numpy(values).log_softmax(1).logsumexp(0).numpy() - math.log(len(values))
    return np.where(np.isneginf(mean), 0.0, -mean)


def read_fields(task: PatternVerbalizer) -> set[str]:
    """Names of the fields of an example that a task reads, through derived fields too."""
    names = set().union(*(pattern.fields for pattern in task.patterns))
    for name, template in reversed(task.derived.items()):
        if name in names:
            names = names - {name} | {element.name for element in parse(template) if isinstance(element, Field)}
    return names


def ask_instead(task: PatternVerbalizer, premise: str) -> PatternVerbalizer:
    """The task with a domain premise in place of every pattern. For errors see [`ClozeClassifier.calibrate`]."""
    space = space_before_blank(parse_pattern(premise))
    for pattern in task.patterns:
        if space_before_blank(parse_pattern(pattern.text)) != space:
            raise ValueError(
                f"The domain premise {premise!r} has {'a' if space else 'no'} space before the blank, unlike pattern "
                f"{pattern.text!r}, so the words would be other tokens: write the premise "
                f"{'without' if space else 'with'} a space before the blank. Patterns that differ in this among "
                "themselves cannot share a premise: take some of them with task.select."
            )
    data = task.to_dict()
    data["patterns"] = [
        {**(entry if isinstance(entry, dict) else {}), "pattern": premise} for entry in data["patterns"]
    ]
    return PatternVerbalizer.from_dict(data)


def _table(values: ArrayLike, name: str) -> np.ndarray:
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or 0 in table.shape:
        raise ValueError(f"{name} has shape {table.shape}: expected (examples, classes), at least one of each.")
    if np.isnan(table).any() or np.isposinf(table).any():
        raise ValueError(
            f"{name} has entries that are NaN or +inf: expected finite numbers, or -inf for an absent class."
        )
    if np.isneginf(table).all(1).any():
        row = int(np.isneginf(table).all(1).argmax())
        raise ValueError(f"Row {row} of {name} has no class at all: all are -inf.")
    return table


def _check(
    values: ArrayLike, labels: ArrayLike, name: str, absent_allowed: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """The table as float64 (examples, classes) and the labels as int64 (examples,)."""
    table = _table(values, name)
    right = np.asarray(labels)
    if right.shape != table.shape[:1] or not np.issubdtype(right.dtype, np.integer):
        raise ValueError(
            f"labels has shape {right.shape} and dtype {right.dtype}, {name} the shape {table.shape}: expected the number "
            "of a class for every example."
        )
    if ((right < 0) | (right >= table.shape[1])).any():
        wrong = sorted(set(right[(right < 0) | (right >= table.shape[1])].tolist()))
        raise ValueError(f"labels has {wrong}: expected numbers from 0 to {table.shape[1] - 1}.")
    absent = np.isneginf(np.take_along_axis(table, right[:, None].astype(np.int64), 1)[:, 0])
    if not absent_allowed and absent.any():
        row = int(absent.argmax())
        raise ValueError(f"Label {right[row]} of example {row} is an absent class: its score is -inf.")
    return table, right.astype(np.int64)


__all__ = ["Calibration", "contextual_bias", "expected_calibration_error", "fit_temperature"]

"""
Turn the scores of classes or choices into probabilities that can be trusted; `answers.reliability` measures how far.

Everything here works on arrays and needs no model. A score is a log-probability up to a constant per row. The score -inf
marks a class that an example does not have.
"""

import math
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike

from ..utils.numbers import check_temperature

CalibrationMethod = Literal["contextual", "pmi"]
CONTENT_FREE = ("N/A", "[MASK]", "")
LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.01, 100.0


@dataclass(frozen=True)
class Calibration:
    """
    Describe how scores become probabilities.

    `ClozeClassifier.calibrate` uses it for tasks, `choose` for choices without a task. The value never changes, and it is
    saved with the task.

    Args:
        method: "contextual" subtracts what the model answers to texts without content (Zhao et al. 2021, "Calibrate
            Before Use"). "pmi" subtracts what it answers to a domain premise; the pointwise mutual information of text
            and answer remains (Holtzman et al. 2021, "Surface Form Competition"). None leaves the scores as they are.
        content_free: Texts without content, for "contextual". They replace fields, where a "[MASK]" is plain text and
            no second blank.
        domain_premise: A pattern with one blank, for "pmi": `"The topic is [MASK]."`.
        temperature: The corrected scores are divided by it (Guo et al. 2017); see `fit_temperature`.

    Raises:
        ValueError: If the method is unknown, if "contextual" has no texts or "pmi" no domain premise, or if the
            temperature is not above 0 or out of the range of float32.
    """

    method: CalibrationMethod | None = None
    content_free: tuple[str, ...] = CONTENT_FREE
    domain_premise: str | None = None
    temperature: float = 1.0

    def __post_init__(self):
        texts = (self.content_free,) if isinstance(self.content_free, str) else tuple(self.content_free)
        object.__setattr__(self, "content_free", texts)  # the dataclass is frozen
        if self.method not in (None, "contextual", "pmi"):
            raise ValueError(f"Calibration method {self.method!r}: expected 'contextual', 'pmi' or None.")
        if self.method == "contextual" and not texts:
            raise ValueError("content_free is empty: contextual calibration needs texts without content, as ('N/A',).")
        if self.method == "pmi" and self.domain_premise is None:
            raise ValueError(
                "Calibration by 'pmi' needs a domain_premise: a pattern with one blank, such as 'The topic is [MASK].'."
            )
        object.__setattr__(self, "temperature", check_temperature("temperature", self.temperature))

    def bias(self, references: ArrayLike) -> np.ndarray:
        """
        Compute what to add to scores.

        Args:
            references: Scores of the choices behind the texts without content, or behind the domain premise: (texts,
                choices), -inf for absent choices.

        Returns:
            (choices,) float64; 0 for absent choices, and everywhere if the method is None.

        Raises:
            ValueError: If `references` is not a table, has NaN, +inf or a row of absent choices, or, for "pmi", has
                several rows.
        """
        table = check_table(references, "references")
        if self.method == "contextual":
            return contextual_bias(table)
        if self.method is None:
            return np.zeros(table.shape[1])
        if len(table) != 1:
            raise ValueError(f"references has shape {table.shape}: expected one row, for the domain premise.")
        return np.where(np.isneginf(table[0]), 0.0, -table[0])

    def probabilities(self, scores: ArrayLike, references: ArrayLike | None = None) -> np.ndarray:
        """
        Correct scores, divide them by the temperature and normalize them.

        Args:
            scores: (rows, choices) log-probabilities, -inf for absent choices.
            references: Scores of the same choices behind the texts without content, or behind the domain premise: (texts,
                choices) for all rows, or (rows, texts, choices) if every row has its own choices. Not needed if the
                method is None.

        Returns:
            (rows, choices) float64: rows sum to 1, absent choices have 0.

        Raises:
            ValueError: If the method needs `references` and there are none, if shapes do not fit, or if scores are NaN or
                +inf.

        Example:

        ```python
        >>> Calibration("contextual").probabilities(np.log([[0.6, 0.4]]), np.log([[0.75, 0.25]])).round(3)
        array([[0.333, 0.667]])
        ```
        """
        table = check_table(scores, "scores")
        if self.method is not None:
            if references is None:
                raise ValueError(
                    f"Calibration by {self.method!r} needs references: scores behind texts without content."
                )
            tables = np.asarray(references, dtype=np.float64)
            if tables.ndim == 2:
                tables = tables[None]  # (1, texts, choices): one bias for all rows
            if tables.ndim != 3 or len(tables) not in (1, len(table)) or tables.shape[2] != table.shape[1]:
                raise ValueError(
                    f"references has shape {np.shape(references)}, scores {table.shape}: expected (texts, choices) or "
                    "(rows, texts, choices)."
                )
            table = table + np.stack([self.bias(rows) for rows in tables])
        return self.normalize(table)

    def normalize(self, corrected: ArrayLike) -> np.ndarray:
        """Turn corrected scores (..., choices) into float64 probabilities: softmax(corrected / temperature)."""
        return (torch.from_numpy(np.asarray(corrected)).double() / self.temperature).softmax(-1).numpy()

    def to_dict(self) -> dict[str, Any]:
        """Return the values as JSON can hold them; `from_dict` reads them."""
        return {**asdict(self), "content_free": list(self.content_free)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any] | None) -> "Calibration":
        """Read what `to_dict` wrote; None means no calibration. Raises a `ValueError` for unknown keys."""
        known = [field.name for field in fields(cls)]
        if unknown := sorted(set(data or {}) - set(known)):
            raise ValueError(f"Unknown keys {unknown} of a calibration: expected {known}.")
        return cls(**(data or {}))


class FoundTemperature(NamedTuple):
    """
    The temperature that fits labelled examples best.

    Attributes:
        value: A number from 0.01 to 100; 1.0 if no temperature changes anything.
        problem: Why it is one of the two bounds: with 0.01 all examples are right, so the loss has no minimum; with 100
            the scores are no better than chance. None within the bounds.
    """

    value: float
    problem: str | None = None


def find_temperature(scores: ArrayLike, labels: ArrayLike) -> FoundTemperature:
    """
    Find the temperature T for which softmax(scores / T) fits the labels of a validation split best.

    It minimizes the mean negative log-likelihood, which is convex in 1 / T (Guo et al. 2017, section 4.2).

    Args:
        scores: (examples, classes), -inf for absent classes.
        labels: (examples,) right classes.

    Raises:
        ValueError: If there are no examples, shapes do not fit, scores are NaN or +inf, or a label is absent or none of
            the classes.
    """
    values, right = check_labelled(scores, labels, "scores")
    table = torch.from_numpy(values)
    gaps = table - table.gather(1, torch.from_numpy(right)[:, None])  # (examples, classes), 0 for the right class

    def slope(temperature: float) -> float:
        """Compute the derivative of the loss with respect to 1 / T, which grows with 1 / T."""
        weights = (gaps / temperature).softmax(1)
        # An absent class has weight 0 and gap -inf, whose product would be NaN.
        return float((weights * gaps.masked_fill(weights == 0, 0.0)).sum(1).mean())

    low, high = LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE
    if not gaps.masked_fill(gaps == -math.inf, 0.0).any():
        return FoundTemperature(1.0)
    if slope(low) <= 0 or slope(high) >= 0:
        bound = low if slope(low) <= 0 else high
        cause = "all examples are right" if bound == low else "the scores are no better than chance"
        return FoundTemperature(
            bound,
            f"The temperature that fits {len(right)} examples best is out of bounds, so {bound} is taken: {cause}. Give "
            "more examples that the model was not trained on, or leave the temperature at 1.",
        )
    for _ in range(60):  # each step halves the interval of log T
        middle = math.sqrt(low * high)
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    return FoundTemperature(math.sqrt(low * high))


def fit_temperature(scores: ArrayLike, labels: ArrayLike) -> float:
    """Return what `find_temperature` finds, with a warning if it is one of the bounds."""
    found = find_temperature(scores, labels)
    if found.problem:
        warnings.warn(found.problem, stacklevel=2)
    return found.value


def contextual_bias(scores: ArrayLike) -> np.ndarray:
    """
    Compute the bias that makes the answer to a text without content uniform.

    It is minus the logarithm of the probabilities that such texts get, averaged over them (Zhao et al. 2021, section 5).

    Args:
        scores: (texts, classes), -inf for absent classes.

    Returns:
        (classes,) float64, to be added to scores; 0 for absent classes.

    Raises:
        ValueError: If there are no texts, a row has only absent classes, or a score is NaN or +inf.
    """
    values = check_table(scores, "scores")
    # Sums of logarithms, because a probability may be too small for float64.
    mean = torch.from_numpy(values).log_softmax(1).logsumexp(0).numpy() - math.log(len(values))
    return np.where(np.isneginf(mean), 0.0, -mean)


def check_table(values: ArrayLike, name: str) -> np.ndarray:
    """Return the table as float64 (examples, classes). Raises a `ValueError` for NaN, +inf and a row without a class."""
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


def check_labelled(
    values: ArrayLike, labels: ArrayLike, name: str, absent_allowed: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """
    Return the table as float64 (examples, classes) and the labels as int64 (examples,).

    Raises:
        ValueError: For all that `check_table` refuses, labels of another shape or type, a label that is not one of the
            classes, and the label of an absent class unless `absent_allowed`.
    """
    table = check_table(values, name)
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


__all__ = [
    "Calibration",
    "FoundTemperature",
    "check_labelled",
    "check_table",
    "contextual_bias",
    "find_temperature",
    "fit_temperature",
]

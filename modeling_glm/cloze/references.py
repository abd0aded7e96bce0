"""Find out what a calibration asks a model besides the examples, and keep its task and its answers together."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..tokenization import PatternVerbalizer
from .calibration import Calibration

Example = Mapping[str, Any]


@dataclass(frozen=True)
class References:
    """
    The questions that a calibration asks in addition, for one task. The value never changes.

    Args:
        calibration: The calibration.
        task: The task itself, or for "pmi" the task with the domain premise in place of its patterns.
        per_example: Whether the answers depend on the example, because of its own choices or of fields in the premise.
        bias: (classes,) What to add to scores, or None if it is not measured yet or depends on the example.
    """

    calibration: Calibration
    task: PatternVerbalizer
    per_example: bool
    bias: np.ndarray | None = None

    @classmethod
    def of(cls, calibration: Calibration, task: PatternVerbalizer) -> "References":
        """Make the references of a task. For errors see `ClozeClassifier.calibrate`."""
        asked, own_fields = task, False
        if calibration.method == "pmi":
            asked = ask_premise(task, str(calibration.domain_premise))
            # A premise such as "{question} [MASK]" has another answer for every example.
            own_fields = bool(asked.fields)
        own_choices = any(pattern.choices is not None for pattern in task.patterns)
        return cls(calibration, asked, calibration.method is not None and (own_choices or own_fields))

    def questions(self, example: Example) -> list[Example]:
        """List the examples of `task` to ask in addition to an example."""
        if self.calibration.method == "pmi":
            return [example]
        if self.calibration.method is None:
            return []
        return [self.task.content_free(example, text) for text in self.calibration.content_free]

    def measured(self, scores: np.ndarray) -> "References":
        """Return the references with the bias that scores (questions, classes) give."""
        bias = np.array(self.calibration.bias(scores))
        bias.setflags(write=False)
        return dataclasses.replace(self, bias=bias)


@dataclass(frozen=True)
class CalibratedTask:
    """A task that carries a calibration, and what that calibration asks and adds. The value never changes."""

    task: PatternVerbalizer
    references: References

    @classmethod
    def of(cls, task: PatternVerbalizer, references: References) -> "CalibratedTask":
        """Let a task carry the calibration. The given one may belong to other classifiers too: it does not change."""
        if Calibration.from_dict(task.calibration) == references.calibration:
            return cls(task, references)
        calibration = None if references.calibration == Calibration() else references.calibration.to_dict()
        return cls(task.with_calibration(calibration), references)


def ask_premise(task: PatternVerbalizer, premise: str) -> PatternVerbalizer:
    """
    Return a task with a domain premise in place of every pattern.

    Raises:
        ValueError: If the premise has not exactly one blank.
    """
    data = task.to_dict()
    data["patterns"] = [
        {**(entry if isinstance(entry, dict) else {}), "pattern": premise} for entry in data["patterns"]
    ]
    return PatternVerbalizer.from_dict(data)

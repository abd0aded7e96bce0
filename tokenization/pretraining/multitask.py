"""
Draw examples of tasks for multi-task training, as the originals do beside pretraining (paper section 2.2, "multi-task").

A task gives each of its examples a number. A cloze task has every example once under each of its patterns.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..cloze.task import PatternVerbalizer
from ..patterns.encoding import Truncation
from ..tokenization_glm import GLMTokenizer
from .samples import IGNORED

SIZE_LIMIT = 200_000  # examples of a task that count for its weight
EXPONENT = 0.8
SEED_SHIFT = 64  # the numbers of one seed are apart from those of another
Encoded = dict[str, list[int]]


class TaskExamples(Protocol):
    """The examples of a task, as samples of infilling."""

    @property
    def name(self) -> str:
        """The name of the task."""

    def __len__(self) -> int:
        """Return the number of samples."""

    def encode(self, number: int) -> Encoded:
        """Return one sample: `input_ids` and `labels`, aligned, -100 in Part A."""


@dataclass(frozen=True, kw_only=True)
class ClozeExamples:
    """
    The examples of a cloze task: the context of each under each pattern, with the right answer as target.

    Sample k is example k % n under pattern k // n, for n examples. A label of several words is answered by the first.
    The end of the piece is a target only for tasks with `end_of_piece`, as in the originals.

    Args:
        task: The patterns and words.
        examples: Examples with their labels.
        tokenizer: A `GLMTokenizer`.
        max_length: Most tokens of a sample. Longer contexts lose tokens of the fields marked `|shorten`, then of others.
        truncation: Where they lose them; see `PatternVerbalizer.encode`.

    Raises:
        ValueError: For no examples, and in `encode` for an example without a label or that the task cannot ask.
    """

    task: PatternVerbalizer
    examples: Sequence[Mapping[str, Any]]
    tokenizer: GLMTokenizer
    max_length: int | None = None
    truncation: Truncation = "longest"
    name: str = ""
    _patterns: tuple[PatternVerbalizer, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self):
        if not len(self.examples):
            raise ValueError(f"The task {self.name or self.task.name!r} has no examples to train on.")
        patterns = tuple(self.task.select([number]) for number in range(len(self.task.patterns)))
        object.__setattr__(self, "_patterns", patterns)  # the dataclass is frozen
        object.__setattr__(self, "name", self.name or str(self.task.name))

    def __len__(self) -> int:
        return len(self.examples) * len(self._patterns)

    def encode(self, number: int) -> Encoded:
        """Return sample `number`; see `TaskExamples.encode`."""
        pattern, place = divmod(number, len(self.examples))
        try:
            encoded = self._patterns[pattern].encode(
                self.examples[place], self.tokenizer, self.max_length, self.truncation, cut_fields=True
            )
            if "labels" not in encoded:
                raise ValueError("The example has no label.")
        except ValueError as error:
            raise ValueError(f"Task {self.name!r}, example {place}, pattern {pattern}: {error}") from error
        answer = encoded["choice_ids"][0][encoded["labels"]][0]
        context = encoded["input_ids"][0]
        return {
            "input_ids": [*context, self.tokenizer.sop_token_id, *answer[:-1]],
            "labels": [IGNORED] * len(context) + list(answer),
        }


@dataclass(frozen=True, kw_only=True)
class Seq2SeqExamples:
    """
    The rows of a task from source to target.

    Args:
        name: The name of the task.
        rows: Rows with source and target.
        encode_row: Return one sample for each reference of a row: `encode_references` of a
            `DataCollatorForInfillingSeq2Seq`. The first reference is the target.

    Raises:
        ValueError: For no rows, and in `encode` for a row that cannot be encoded.
    """

    name: str
    rows: Sequence[Mapping[str, Any]]
    encode_row: Callable[[Mapping[str, Any]], Sequence[Mapping[str, Sequence[int]]]]

    def __post_init__(self):
        if not len(self.rows):
            raise ValueError(f"The task {self.name!r} has no rows to train on.")

    def __len__(self) -> int:
        return len(self.rows)

    def encode(self, number: int) -> Encoded:
        """Return sample `number`; see `TaskExamples.encode`."""
        try:
            sample = self.encode_row(self.rows[number])[0]
        except ValueError as error:
            raise ValueError(f"Task {self.name!r}, row {number}: {error}") from error
        return {name: list(sample[name]) for name in ("input_ids", "labels")}


class TaskPlace(NamedTuple):
    """The place of a sample: the number of its task, and its number in the task."""

    task: int
    sample: int


class TaskMixture:
    """
    Draw samples of several tasks. A task is drawn with probability proportional to min(its samples, 200,000)^0.8.

    A draw is a function of its number and the seed, the same for every process, worker and resumed run. Draws of seed 0 are
    those of the originals' code, which draws with replacement.

    Args:
        tasks: The tasks.
        seed: Any non-negative integer.

    Raises:
        ValueError: For no tasks, and two of one name.
    """

    def __init__(self, tasks: Sequence[TaskExamples], seed: int = 0):
        self.tasks, self.seed = tuple(tasks), seed
        names = [task.name for task in self.tasks]
        if not names:
            raise ValueError("There are no tasks to draw from: give at least one.")
        if repeated := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"Several tasks are called {sorted(repeated)}: give each a name of its own.")

    @cached_property
    def weights(self) -> np.ndarray:
        """(tasks,) float64, the probability of every task."""
        return task_weights([len(task) for task in self.tasks])

    def draw(self, number: int) -> TaskPlace:
        """Draw the task and the sample of one number, 0 or more."""
        return draw_place([len(task) for task in self.tasks], self.weights, number + (self.seed << SEED_SHIFT))

    def encode(self, number: int) -> Encoded:
        """Return the sample of a draw: `input_ids` and `labels`. Raises a `ValueError` that names its task and row."""
        place = self.draw(number)
        return self.tasks[place.task].encode(place.sample)


def task_weights(sizes: Sequence[int]) -> np.ndarray:
    """
    Return the probabilities of tasks by their sizes, (tasks,) float64: min(size, 200,000)^0.8, normalized.

    Example:

    ```python
    >>> task_weights([1_000_000, 200_000, 10]).round(3).tolist()
    [0.5, 0.5, 0.0]
    ```
    """
    weights = np.minimum(np.asarray(sizes, dtype=np.float64), SIZE_LIMIT) ** EXPONENT
    return weights / weights.sum()


def draw_place(sizes: Sequence[int], weights: np.ndarray, number: int) -> TaskPlace:
    """Draw a task by its weight, and one of its samples, from the random numbers that belong to `number`."""
    # The generators and their order are those of the originals, so that equal numbers are equal draws.
    seeds = random.Random(number)
    state = np.random.RandomState([seeds.randint(0, 2**32 - 1) for _ in range(16)])
    task = int(state.choice(len(sizes), p=weights))
    return TaskPlace(task, int(state.randint(0, sizes[task])))


__all__ = [
    "ClozeExamples",
    "Seq2SeqExamples",
    "TaskExamples",
    "TaskMixture",
    "TaskPlace",
    "draw_place",
    "task_weights",
]

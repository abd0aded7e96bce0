"""Draw the samples of several tasks, as the originals do beside pretraining (`--multi-task-ratio`)."""

import random
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from .examples import Encoded, TaskExamples

SIZE_LIMIT = 200_000  # samples of a task that count for its weight
EXPONENT = 0.8
SEED_SHIFT = 64  # the numbers of one seed are apart from those of another


class TaskPlace(NamedTuple):
    """Hold the place of a sample: the number of its task, and its number in the task."""

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


__all__ = ["TaskMixture", "TaskPlace", "draw_place", "task_weights"]

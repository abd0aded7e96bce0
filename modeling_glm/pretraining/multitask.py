"""Mix the examples of tasks into the samples of a run: which steps have them, and which example a sample is."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

from torch.utils.data import Dataset

from ..tokenization.multitask.draws import TaskMixture
from .mixture import InfillingStream, MixtureOrder, Phase

MixingUnit = Literal["step", "sample"]
MIXING_UNITS: tuple[str, ...] = get_args(MixingUnit)
TEXTS, TASKS = 0, 1
# Sets the places of the tasks apart from the order of the texts, which comes from the same seed.
_OWN_SEED = 0x7A_5C_5E_ED


class SamplePlace(NamedTuple):
    """Say whether a sample is of a task, and how many samples of its kind come before it."""

    is_task: bool
    position: int


class MultiTaskOrder:
    """
    Place the samples of tasks among those of texts. Call it with the number of a sample.

    The order follows from the arguments alone, so a resumed run and other numbers of processes have the same one. In
    every block of 1,024 units the tasks have their share, rounded, at random places.

    Args:
        ratio: Share of the tasks, between 0 and 1.
        unit: What it is a share of. "step": all samples of a step are of tasks or none, as in the originals, where a
            batch of tasks has a loss of its own. "sample": each step has about this share of examples. An example has
            few labels, and all labels of a step weigh the same, so tasks weigh less then.
        step_size: Samples of a step, over all processes.
        seed: Any non-negative integer.

    Raises:
        ValueError: For a ratio that does not lie between 0 and 1, and another unit.
    """

    def __init__(self, ratio: float, unit: MixingUnit, step_size: int, seed: int):
        if not 0 < ratio < 1:
            raise ValueError(f"The ratio of multi-task training is {ratio}: expected a number between 0 and 1.")
        if unit not in MIXING_UNITS:
            raise ValueError(
                f"The unit of multi-task training is {unit!r}: expected one of {', '.join(MIXING_UNITS)}."
            )
        self.unit_size = step_size if unit == "step" else 1
        self._units = MixtureOrder([1, 1], [Phase(0, (1 - ratio, ratio))], seed ^ _OWN_SEED)

    def __call__(self, number: int) -> SamplePlace:
        """Return the place of a sample. Raises an IndexError for a negative number."""
        unit, within = divmod(number, self.unit_size)
        kind, before = self._units.locate(unit)
        return SamplePlace(kind == TASKS, before * self.unit_size + within)

    def count_texts(self, number: int) -> int:
        """Count the texts among the first `number` samples."""
        place = self(number)
        # `position` counts the kind of the next sample.
        return number - place.position if place.is_task else place.position


class MultiTaskStream(Dataset):
    """
    Return the samples of a run with multi-task training, or of its rest, for a `DataLoader` that does not shuffle.

    Item j is sample `start + j`: `{"input_ids", "sample_id"}` of a text, or `{"input_ids", "labels"}` of an example.

    Args:
        texts: The texts in their order, from the first one of the run. Their `sample_id` counts texts only.
        tasks: The tasks.
        order: The places of the tasks.
        num_samples: Number of samples.
        start: Number of the first sample.
    """

    def __init__(
        self, texts: InfillingStream, tasks: TaskMixture, order: MultiTaskOrder, num_samples: int, start: int = 0
    ):
        self.texts, self.tasks, self.order = texts, tasks, order
        self.num_samples, self.start = num_samples, start

    def __len__(self) -> int:
        return self.num_samples

    def __getitems__(self, indices: Sequence[int]) -> list[dict]:
        """Return a batch at once; see `InfillingStream`. A DataLoader calls this."""
        places = [self.order(self.start + index) for index in indices]
        texts = iter(self.texts.__getitems__([place.position for place in places if not place.is_task]))
        return [dict(self.tasks.encode(place.position)) if place.is_task else next(texts) for place in places]

    def __getitem__(self, index: int) -> dict:
        if not 0 <= index < self.num_samples:
            raise IndexError(f"There is no sample {index}: there are {self.num_samples}.")
        return self.__getitems__([index])[0]


__all__ = ["MIXING_UNITS", "MixingUnit", "MultiTaskOrder", "MultiTaskStream", "SamplePlace"]

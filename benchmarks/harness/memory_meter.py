"""Measure how the memory of the process grows while something is repeated."""

import gc
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import psutil

MEASUREMENTS = 36


@dataclass(kw_only=True)
class MemoryMeter:
    """
    Measurements of the process at some steps.

    Attributes:
        steps: The number of the step at each measurement.
        memory: Resident bytes of the process.
        objects: Number of Python objects that the garbage collector tracks.
    """

    steps: list[int] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    objects: list[int] = field(default_factory=list)

    def measure(self, step: int):
        """Measure now, without garbage."""
        gc.collect()
        self.steps.append(step)
        self.memory.append(psutil.Process().memory_info().rss)
        self.objects.append(len(gc.get_objects()))

    @property
    def bytes_each(self) -> float:
        """By how many bytes the process grows in a step."""
        return self._slope(self.memory)

    @property
    def objects_each(self) -> float:
        """By how many Python objects the process grows in a step."""
        return self._slope(self.objects)

    def _slope(self, values: list[int]) -> float:
        """Fit a line through the values, after a warm-up of a third."""
        start = len(values) // 3
        return float(np.polyfit(self.steps[start:], values[start:], 1)[0])


def repeat(run: Callable[[int], object], times: int) -> MemoryMeter:
    """
    Repeat something, and measure about 36 times, at equal distances.

    Args:
        run: What to repeat, with the number of the repetition from 0.
        times: How often, at least 3 times.
    """
    meter, every = MemoryMeter(), max(1, times // MEASUREMENTS)
    gc.collect()
    gc.freeze()  # what was there before is neither searched nor counted each time, which would take longer than the work
    try:
        for number in range(times):
            run(number)
            if (number + 1) % every == 0:
                meter.measure(number + 1)
    finally:
        gc.unfreeze()
    return meter

"""
Read constants from what processes on this machine measured, and predict more processes from them.

There are two clocks. Wall times say what a user waits for, and are right only on an idle machine. CPU times of a process do
not depend on other work. Where communication is work of the same cores they say what it costs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .collectives import ALL_REDUCE, GLOO_PASSES, Fabric, sent_bytes
from .costs import exposed_after

WALL, CPU = "times", "cpu"


def best(seconds: Sequence[float]) -> float:
    """Return the shortest of several times, because other work on the machine only adds to them."""
    return min(seconds)


@dataclass(frozen=True, kw_only=True)
class StepTimes:
    """
    Seconds of a step of one strategy, in the slowest process: the best of the rounds.

    Attributes:
        passes: Forward and backward pass with their communication.
        update: The optimizer, with its communication.
        local: Forward and backward pass without communication.
        collectives: All collectives one after the other, with nothing else to do.
        buckets: When the gradients of each bucket are complete, in seconds without communication, and their bytes.
    """

    passes: float
    update: float
    local: float
    collectives: float
    buckets: tuple[tuple[float, float], ...] = ()

    @property
    def whole(self) -> float:
        return self.passes + self.update

    def share(self, alone: "StepTimes") -> float:
        """Return the share of the step in which it waits for communication, beside the same work without any."""
        return max(0.0, 1 - (alone.local + alone.update) / self.whole)

    @property
    def overlap(self) -> float:
        """Return the share of the communication that computing hides, of what the order of the work allows: 0 to 1."""
        per_byte = self.collectives / sum(size for _, size in self.buckets)
        can_hide = self.collectives - exposed_after(self.buckets, self.local, lambda size: per_byte * size)
        hidden = self.collectives - (self.passes - self.local)
        return min(1.0, max(0.0, hidden / can_hide)) if can_hide > 0 else 0.0


def read_times(found: Mapping[str, Any], alone: Mapping[str, Any] | None = None, clock: str = WALL) -> StepTimes:
    """
    Read the times of a strategy.

    Args:
        found: What `measure_processes` returns for the strategy.
        alone: The same for DDP, whose passes without communication stand for those of strategies without any.
        clock: WALL or CPU.
    """
    times = found[clock]
    local = best(times.get("local passes") or (alone or found)[clock]["local passes"])
    passes = best(times["passes"])
    longest = sorted(found[WALL]["passes"])[len(found[WALL]["passes"]) // 2]  # moments are medians of wall times
    buckets = zip(found["bucket times"], found["bucket bytes"], strict=True)
    return StepTimes(
        passes=passes,
        update=best(times["update"]),
        local=local,
        collectives=best(times["collectives"]),
        # Communication delays the backward pass of CPUs, so the moments are scaled to a pass without it.
        buckets=tuple((min(1.0, ready / longest) * local, size) for ready, size in buckets),
    )


def fit_fabric(messages: Mapping[str, list[float]], processes: int, cores: int) -> Fabric:
    """
    Take latency and bandwidth from all-reduces of several sizes: from the smallest one and the largest one.

    Args:
        messages: Seconds of all-reduces by their bytes.
        processes: Number of processes that sent them, not more than cores.
        cores: Cores of the machine.
    """
    seconds = {int(size): best(times) for size, times in messages.items()}
    passes = GLOO_PASSES[ALL_REDUCE]
    latency = seconds[min(seconds)] / passes / (processes - 1)
    largest = max(seconds)
    moving = max(seconds[largest] - seconds[min(seconds)], 1e-9)
    return Fabric(
        per_machine=2**30,
        bandwidth=passes * (processes - 1) / processes * largest / moving,
        latency=latency,
        cores=cores,
        passes=tuple(GLOO_PASSES.items()),
    )


def predict_local(alone: StepTimes, few: StepTimes, processes: int, more: int) -> float:
    """
    Predict the passes without communication of one of `more` processes, if each has a core of its own.

    They take a fixed time, such as that of the gradients of all weights, and a time for each row. One process and a few
    processes give both.
    """
    all_rows = (alone.local - few.local) / (1 - 1 / processes)
    return few.local - all_rows * (1 / processes - 1 / more)


def predict_more(alone: StepTimes, few: StepTimes, processes: int, more: int, fabric: Fabric) -> StepTimes:
    """
    Predict DDP with more processes and the same rows in all, from the times of fewer processes.

    Args:
        alone: The times of one process.
        few: The times of `processes` processes.
        processes, more: Numbers of processes.
        fabric: How they are connected.
    """
    crowded = fabric.crowding(more) / fabric.crowding(processes)
    local = crowded * predict_local(alone, few, processes, more)  # fewer rows, and less of a core
    buckets = tuple((local / few.local * ready, size) for ready, size in few.buckets)

    def reduce_seconds(size: float) -> float:
        return fabric.seconds(ALL_REDUCE, size, more)

    collectives = sum(reduce_seconds(size) for _, size in buckets)
    exposed = exposed_after(buckets, local, reduce_seconds)
    waiting = collectives - few.overlap * (collectives - exposed)
    return StepTimes(
        passes=local + waiting,
        update=crowded * few.update,
        local=local,
        collectives=collectives,
        buckets=buckets,
    )


def predict_cpu(alone: StepTimes, few: StepTimes, processes: int, more: int) -> StepTimes:
    """
    Predict the CPU times of a process of DDP with more processes and the same rows in all. Nothing hides CPU time.

    Args:
        alone: The CPU times of one process.
        few: The CPU times of `processes` processes.
        processes, more: Numbers of processes.
    """
    ratio = sent_bytes(ALL_REDUCE, 1.0, more) / sent_bytes(ALL_REDUCE, 1.0, processes)
    local, collectives = predict_local(alone, few, processes, more), few.collectives * ratio
    return StepTimes(passes=local + collectives, update=few.update, local=local, collectives=collectives)

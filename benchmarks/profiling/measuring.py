"""Measure one work: its time, the time of its parts, and how close its matmuls come to the limits of the machine."""

import resource
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from ..harness.machine import Machine
from ..harness.measuring import take_turns
from .categories import CATEGORIES, categorize, short
from .matmuls import LeastTime, count_matmuls, least_time
from .works import Work

ROOT_SCOPE = "the whole work"


@dataclass(frozen=True)
class Piece:
    """Some seconds in which an operator runs, but none that it calls."""

    category: str
    operator: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class PartTimes:
    """
    The time of a work by part, under the profiler. Both sums are the whole.

    Attributes:
        categories: Seconds by category. All of `CATEGORIES` are there, in their order.
        operators: Seconds by category and operator.
    """

    categories: dict[str, float]
    operators: dict[tuple[str, str], float]

    @property
    def total(self) -> float:
        return sum(self.categories.values())


@dataclass(frozen=True, kw_only=True)
class WorkProfile:
    """
    Where the time of a work goes.

    Attributes:
        title: What is done.
        seconds: Time of the best round without the profiler.
        profiled_seconds: Time with it.
        categories: Seconds by category, of this time.
        least: The least time of its matmuls on this machine.
        page_faults: Pages of memory that the kernel hands out in one round.
    """

    title: str
    seconds: float
    profiled_seconds: float
    categories: dict[str, float]
    least: LeastTime
    page_faults: int

    @property
    def shares(self) -> dict[str, float]:
        return {category: seconds / self.profiled_seconds for category, seconds in self.categories.items()}


def profile_parts(run: Callable[[], object], vocabulary: int, rounds: int) -> PartTimes:
    """
    Run something several times under the profiler of torch.

    Args:
        run: What to run. It should have run before.
        vocabulary: Size of the vocabulary.
        rounds: How often to run it. If all rounds call the same operators, the best time of each call counts. Else the best
            round does.
    """
    found = [list(pieces_of(profile_once(run), vocabulary)) for _ in range(rounds)]
    best = min(found, key=lambda pieces: sum(piece.seconds for piece in pieces))
    if len({tuple((piece.category, piece.operator) for piece in pieces) for pieces in found}) == 1:
        times = zip(*([piece.seconds for piece in pieces] for pieces in found), strict=True)
        best = [replace(piece, seconds=min(several)) for piece, several in zip(best, times, strict=True)]
    categories: Counter[str] = Counter()
    operators: Counter[tuple[str, str]] = Counter()
    for piece in best:
        categories[piece.category] += piece.seconds
        operators[piece.category, piece.operator] += piece.seconds
    return PartTimes(categories={name: categories[name] for name in CATEGORIES}, operators=dict(operators))


def profile_once(run: Callable[[], object]) -> Any:
    """Run something under the profiler, and return the event that has all others in it."""
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as profiled, record_function(ROOT_SCOPE):
        run()
    (root,) = (event for event in profiled.events() or () if event.name == ROOT_SCOPE)
    return root


def pieces_of(root: Any, vocabulary: int) -> Iterator[Piece]:
    """
    Split the time of an event into pieces in which one operator runs, without those that it calls.

    Args:
        root: The event.
        vocabulary: Size of the vocabulary.
    """
    waiting: list[tuple[Any, tuple[str, ...]]] = [(root, (root.name,))]
    while waiting:
        event, names = waiting.pop()
        category, operator = categorize(names, event.input_shapes or (), vocabulary), short(event.name)
        children = sorted(event.cpu_children, key=lambda child: child.time_range.start)
        start = event.time_range.start
        for child in children:
            yield Piece(category, operator, max(0.0, child.time_range.start - start) / 1e6)
            start = child.time_range.end
            waiting.append((child, (child.name, *names)))
        yield Piece(category, operator, max(0.0, event.time_range.end - start) / 1e6)


def measure_work(work: Work, machine: Machine, rounds: int) -> tuple[WorkProfile, PartTimes]:
    """
    Profile a work, after two runs to warm up.

    Args:
        work: What to measure.
        machine: The machine with its limits.
        rounds: How often it runs with and without the profiler. The best times count, because what else the machine does
            only adds to them.
    """
    work.run()
    work.run()  # a training step now has the state of its optimizer
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    seconds = take_turns({"work": work.run}, rounds, warm_up=False)["work"]
    page_faults = (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) // rounds
    parts = profile_parts(work.run, work.vocabulary, rounds)
    found = WorkProfile(
        title=work.title,
        seconds=min(seconds),
        profiled_seconds=parts.total,
        categories=parts.categories,
        least=least_time(count_matmuls(work.run), machine.peak(work.shape, torch.float32), machine.bandwidth),
        page_faults=page_faults,
    )
    return found, parts

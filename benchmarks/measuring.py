"""Measuring things against each other: in turns, with medians and spread, and memory in processes of their own."""

import json
import os
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, kw_only=True)
class Line:
    """
    One result.

    Attributes:
        suite: Which suite it is of.
        work: What was done.
        peer: What it is compared with.
        ratio: How many times better than the peer we are, the median of the rounds; above 1 is better, also of memory.
        low, high: The smallest and the largest ratio of a round.
        ours, theirs: For the record, medians in `unit`.
        unit: Of `ours` and `theirs`.
        goal: What the ratio or the share should reach, if anything.
        share: Share of the machine's limit that we reach.
        limit: Which limit that is.
        note: What else a reader must know.
    """

    suite: str
    work: str
    peer: str = ""
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    ours: float | None = None
    theirs: float | None = None
    unit: str = "s"
    goal: float | None = None
    share: float | None = None
    limit: str = ""
    note: str = ""

    @property
    def reached(self) -> bool | None:
        """Whether the goal is reached; None where there is none."""
        value = self.share if self.ratio is None else self.ratio
        return None if self.goal is None or value is None else value >= self.goal


def synchronize(device: str | torch.device = "cpu"):
    """Waits for what an accelerator still has to do."""
    if torch.device(device).type != "cpu":
        torch.accelerator.synchronize(device)


def take_turns(
    runs: Mapping[str, Callable[[], object]], rounds: int, device: str = "cpu", warm: bool = True
) -> dict[str, list[float]]:
    """Seconds of every run in every round, the runs taking turns; each runs once before, unless it is not to."""
    if warm:
        for run in runs.values():
            run()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds):
        # Whoever comes first in one round comes last in the next: machines grow warm.
        for name in list(runs) if number % 2 == 0 else list(reversed(runs)):
            synchronize(device)
            start = time.perf_counter()
            runs[name]()
            synchronize(device)
            seconds[name].append(time.perf_counter() - start)
    return seconds


def compare(
    seconds: Mapping[str, list[float]], ours: str, peer: str, *, per_ours: float = 1.0, per_peer: float = 1.0
) -> dict[str, float]:
    """
    The fields of a [`Line`] from the times of two runs.

    Args:
        per_ours, per_peer: How much work a run does, where they differ: times are compared per unit of it.
    """
    pairs = zip(seconds[ours], seconds[peer], strict=True)
    ratios = [(theirs / per_peer) / (own / per_ours) for own, theirs in pairs]
    return {
        "ratio": statistics.median(ratios),
        "low": min(ratios),
        "high": max(ratios),
        "ours": statistics.median(seconds[ours]),
        "theirs": statistics.median(seconds[peer]),
    }


def run_alone(module: str, function: str, *arguments: Any, threads: int | None = None) -> dict[str, Any]:
    """
    Calls a function of this package in a process of its own. It must return what JSON can hold.

    Raises:
        RuntimeError: where the process fails, with what it said.
    """
    code = (
        f"import json, sys\nfrom benchmarks.{module} import {function}\n"
        f"print('\\n' + json.dumps({function}(*json.loads(sys.argv[1]))))"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads or torch.get_num_threads())}
    ran = subprocess.run(
        [sys.executable, "-c", code, json.dumps(arguments)], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    if ran.returncode:
        raise RuntimeError(f"{module}.{function}{arguments} failed:\n{ran.stderr[-2000:]}")
    return json.loads(ran.stdout.strip().splitlines()[-1])


class PeakMemory:
    """
    By how many bytes this process grows, at most, while a block runs. It looks every few milliseconds, and at the peak
    that the system keeps, which counts if it is of this block.
    """

    def __enter__(self) -> "PeakMemory":
        self.before = _resident()
        self._peak_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        self._seen, self._stop = self.before, threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        return self

    def _watch(self):
        while not self._stop.wait(0.005):
            self._seen = max(self._seen, _resident())

    def __exit__(self, *error: object):
        self._stop.set()
        self._watcher.join()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        self.grown = (peak if peak > self._peak_before else max(self._seen, _resident())) - self.before


def _resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

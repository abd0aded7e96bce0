"""Measure time in turns, and memory in a separate process."""

import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parents[2]


def synchronize(device: str | torch.device = "cpu"):
    """Wait for the pending work of an accelerator."""
    if torch.device(device).type != "cpu":
        torch.accelerator.synchronize(device)


def take_turns(
    runs: Mapping[str, Callable[[], object]], rounds: int, device: str = "cpu", warm_up: bool = True
) -> dict[str, list[float]]:
    """
    Time several runs in turns: every round calls each of them once.

    Args:
        runs: What to call, by name.
        rounds: Number of rounds.
        device: The device to wait for before and after each call.
        warm_up: Call each run once before the first round.

    Returns:
        The seconds of each run, one number per round.
    """
    if warm_up:
        for run in runs.values():
            run()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds):
        # Every other round is in reverse order, because a machine may slow down while it heats up.
        for name in list(runs) if number % 2 == 0 else list(reversed(runs)):
            synchronize(device)
            start = time.perf_counter()
            runs[name]()
            synchronize(device)
            seconds[name].append(time.perf_counter() - start)
    return seconds


def run_alone(
    function: Callable[..., dict[str, float]], *arguments: Any, environment: Mapping[str, str] | None = None
) -> dict[str, float]:
    """
    Call a function in a separate process.

    Args:
        function: A function of a module, whose result JSON can hold.
        arguments: Its arguments, which JSON can hold.
        environment: Environment variables to add.

    Raises:
        RuntimeError: If the process fails, with the end of its error output.
    """
    name = function.__name__
    code = (
        f"import json, sys\nfrom {function.__module__} import {name}\n"
        f"print('\\n' + json.dumps({name}(*json.loads(sys.argv[1]))))"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads()), **(environment or {})}
    command = [sys.executable, "-c", code, json.dumps(arguments)]
    completed = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if completed.returncode:
        raise RuntimeError(f"{function.__module__}.{name}{arguments} failed:\n{completed.stderr[-2000:]}")
    return json.loads(completed.stdout.strip().splitlines()[-1])


class PeakMemory:
    """
    Measure by how many bytes this process grows, at most, while a block runs.

    A thread reads the size every 5 ms. The kernel's own peak is exact and is used instead if it was set in this block.

    Attributes:
        grown: Bytes, after the block.
    """

    def __enter__(self) -> "PeakMemory":
        self._before = _resident()
        self._peak_before = _kernel_peak()
        self._seen, self._stop = self._before, threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        return self

    def _watch(self):
        while not self._stop.wait(0.005):
            self._seen = max(self._seen, _resident())

    def __exit__(self, *error: object):
        self._stop.set()
        self._watcher.join()
        peak = _kernel_peak()
        self.grown = (peak if peak > self._peak_before else max(self._seen, _resident())) - self._before


def _kernel_peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

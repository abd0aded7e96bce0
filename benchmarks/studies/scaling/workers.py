"""Train in several processes on this machine, and measure bytes, times and losses in each of them."""

import gc
import json
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing

from ...harness.shapes import Shape, glm_config
from ...harness.steps import Batch, make_batch, split_row
from .collectives import ALL_GATHER, ALL_REDUCE, BROADCAST
from .costs import TrainingLoad
from .counting import count_written, record_collectives
from .strategies import STRATEGIES, ShardedTraining, build_training

WARM_UP = 2  # the first step makes the optimizer's state, and after it DDP forms its buckets again
FLOAT = 4  # bytes


@dataclass(frozen=True, kw_only=True)
class ProcessPlan:
    """
    What to measure.

    Attributes:
        shape: Size of the model.
        processes: Number of processes.
        rows, length: Size of the batch of all processes together. Each takes `rows / processes` rows.
        rounds: Number of steps that are timed.
        threads: Threads of torch in each process.
        strategies: Some of STRATEGIES.
        messages: Bytes of all-reduces that are timed on their own, for latency and bandwidth.
    """

    shape: Shape
    processes: int
    rows: int = 4
    length: int = 64
    rounds: int = 3
    threads: int = 1
    strategies: tuple[str, ...] = STRATEGIES
    messages: tuple[int, ...] = (2**12, 2**20, 2**24, 2**26)

    def __post_init__(self):
        if self.rows % self.processes:
            raise ValueError(f"rows={self.rows} must be a multiple of the {self.processes} processes.")


def measure_processes(plan: ProcessPlan) -> dict[str, Any]:
    """Run the plan in new processes, and return what `merge_ranks` makes of their measurements."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(run_rank, args=(plan, folder, f"file://{folder}/meeting"), nprocs=plan.processes)
        return {"load": load, **merge_ranks(plan, Path(folder))}


def shape_load(shape: Shape, rows: int = 1, length: int = 128) -> TrainingLoad:
    """Make the load of a shape in fp32."""
    labelled = length - split_row(length).part_a
    return TrainingLoad(
        config=glm_config(shape), rows=rows, row_length=length, labelled=labelled, gradient_bytes=4, weight_bytes=4
    )


def run_rank(rank: int, plan: ProcessPlan, folder: str, meeting: str):
    """
    Measure in one process and write `{rank}.json`.

    Args:
        rank: Number of the process.
        plan: What to measure.
        folder: Where the file is written.
        meeting: How the processes find each other: the `init_method` of torch.
    """
    torch.set_num_threads(plan.threads)
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=plan.processes)
    try:
        strategies = {}
        for name in plan.strategies:
            strategies[name] = measure_strategy(name, plan, rank)
            gc.collect()  # the model of a strategy is in a circle, and two of them may not fit
        found = {
            "strategies": strategies,
            "messages": {size: time_message(size, 3 * plan.rounds) for size in plan.messages},
        }
        Path(folder, f"{rank}.json").write_text(json.dumps(found))
        dist.barrier()
    finally:
        dist.destroy_process_group()


def measure_strategy(strategy: str, plan: ProcessPlan, rank: int) -> dict[str, Any]:
    """Measure losses, bytes, collectives and times of a strategy in one process."""
    training = build_training(strategy, plan.shape)
    batch = own_rows(training, plan, rank)
    losses = []

    def whole():
        losses.append(pass_both_ways(training, batch))
        update(training)

    for _ in range(WARM_UP):
        whole()
    dist.barrier()
    sent = count_written(whole)
    dist.barrier()
    collectives = record_collectives(whole)
    clock = Clock()
    ready: list[list[float]] = []
    replay = make_replay(collectives, plan.processes)
    for _ in range(plan.rounds):
        training.buckets.clear()
        seconds = clock.time("passes", lambda: losses.append(pass_both_ways(training, batch)))
        start = time.perf_counter() - seconds
        ready.append([moment - start for _, moment in training.buckets])
        sizes = [size for size, _ in training.buckets]
        clock.time("update", lambda: update(training))
        if training.local is not None:
            with training.local():
                clock.time("local passes", lambda: pass_both_ways(training, batch))
            training.optimizer.zero_grad()
        clock.time("collectives", replay)
    return {
        "losses": losses,
        "sent": sent,
        "collectives": {
            kind: [number, FLOAT * sum(size for name, size in collectives if name == kind)]
            for kind, number in Counter(kind for kind, _ in collectives).items()
        },
        "times": clock.seconds,
        "cpu": clock.cpu_seconds,
        "bucket bytes": sizes,
        "bucket times": [statistics.median(column) for column in zip(*ready, strict=True)],
    }


def merge_ranks(plan: ProcessPlan, folder: Path) -> dict[str, Any]:
    """
    Merge the files of all processes.

    Losses are means over the processes, bytes are listed for each, and a time is that of the slowest process in each round.
    """
    ranks = [json.loads((folder / f"{rank}.json").read_text()) for rank in range(plan.processes)]
    strategies = {}
    for name in plan.strategies:
        found = [rank["strategies"][name] for rank in ranks]
        strategies[name] = {
            **found[0],
            "losses": [statistics.mean(column) for column in zip(*(one["losses"] for one in found), strict=True)],
            "sent": [one["sent"] for one in found],
            **{
                clock: {part: slowest([one[clock][part] for one in found]) for part in found[0][clock]}
                for clock in ("times", "cpu")
            },
        }
    messages = {str(size): slowest([rank["messages"][str(size)] for rank in ranks]) for size in plan.messages}
    return {"strategies": strategies, "messages": messages}


def slowest(times: list[list[float]]) -> list[float]:
    """Return the longest time of each round over all processes."""
    return [max(column) for column in zip(*times, strict=True)]


def own_rows(training: ShardedTraining, plan: ProcessPlan, rank: int) -> Batch:
    """Make the rows of a process. All rows have the same number of labels, so the mean of losses is the loss of all."""
    model = training.module.module if hasattr(training.module, "module") else training.module
    share = plan.rows // plan.processes
    batch = make_batch(model.config, plan.rows, plan.length)
    return {name: values[rank * share : (rank + 1) * share] for name, values in batch.items()}


def pass_both_ways(training: ShardedTraining, batch: Batch) -> float:
    """Run the forward and the backward pass, and return the loss of the rows of this process."""
    loss = training.module(**batch).loss
    loss.backward()
    return loss.item()


def update(training: ShardedTraining):
    training.optimizer.step()
    training.optimizer.zero_grad()


class Clock:
    """
    Times of the parts of a step in one process.

    Attributes:
        seconds: Wall times of each part, by its name.
        cpu_seconds: CPU times of this process, with the threads of gloo. Other work on the machine does not add to them.
    """

    def __init__(self):
        self.seconds: dict[str, list[float]] = {}
        self.cpu_seconds: dict[str, list[float]] = {}

    def time(self, part: str, run: Callable[[], object]) -> float:
        """Call what all processes begin together, write down its times, and return its wall time."""
        dist.barrier()
        start, cpu_start = time.perf_counter(), time.process_time()
        run()
        seconds = time.perf_counter() - start
        self.seconds.setdefault(part, []).append(seconds)
        self.cpu_seconds.setdefault(part, []).append(time.process_time() - cpu_start)
        return seconds


def make_replay(collectives: list[tuple[str, int]], processes: int) -> Callable[[], None]:
    """Make a call that repeats collectives one after the other, with nothing else to do."""
    gathered = max((size for kind, size in collectives if kind == ALL_GATHER), default=0)
    whole = torch.zeros(processes * gathered)
    part = torch.zeros(max((size for _, size in collectives), default=0))

    def replay():
        for kind, size in collectives:
            if kind == ALL_REDUCE:
                dist.all_reduce(part[:size])
            elif kind == BROADCAST:
                dist.broadcast(part[:size], 0)
            elif kind == ALL_GATHER:
                dist.all_gather(list(whole[: size * processes].chunk(processes)), part[:size])
            else:
                raise ValueError(f"{kind}: expected one of {ALL_REDUCE}, {BROADCAST}, {ALL_GATHER}.")

    return replay


def time_message(size: int, rounds: int) -> list[float]:
    """Time all-reduces of `size` bytes."""
    numbers = torch.zeros(size // FLOAT)
    dist.all_reduce(numbers)
    clock = Clock()
    return [clock.time("all-reduce", lambda: dist.all_reduce(numbers)) for _ in range(rounds)]

"""Estimate the CPU time of cells before they run, from one batch of each kind."""

import time
from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import torch

from modeling_glm.cloze.sources import ClozeData

from .budgets import ZERO, budget_of, data_of_row, data_of_search
from .cells import SEARCH_SEED, Row, TaskStudy, missing_cells
from .methods import METHODS
from .neural import Network

# A search tries three learning rates, and sometimes more.
TRIED_RATES = 3.5
LINEAR_EXAMPLES = 400
# Texts whose middle lengths are timed, and how many of them are scored.
SAMPLE, SCORED = 256, 16


class PerExample(NamedTuple):
    """CPU seconds per example: of scoring, and of a training step by the size of its batch."""

    scoring: float
    training: dict[int, float]

    def seconds(self, data: ClozeData, passes: int, batch_size: int) -> float:
        """Return the CPU seconds of training on the data, and of scoring its other examples."""
        trained = passes * len(data.train)
        scored = len(data.test) + len(data.validation)
        return (trained * self.training[batch_size] if trained else 0.0) + scored * self.scoring


def estimate_rows(study: TaskStudy, rows: Sequence[Row], seeds: Sequence[int]) -> dict[Row, float]:
    """Return the CPU seconds that the missing cells of each row will take, with the choice of their learning rates."""
    seconds: dict[Row, float] = defaultdict(float)
    missing, searched = list(missing_cells(study, rows, seeds)), set()
    sizes = {budget_of(row.task, row.shots).batch_size for row, _ in missing if row.shots != ZERO}

    @cache
    def speed(task: str, method: str) -> PerExample:
        return measure_speed(study, task, method, sorted(sizes))

    for row, seed in missing:
        # Random weights take as long as trained ones.
        of_method = speed(row.task, "cloze" if row.method == "random" else row.method)
        method, budget = METHODS[row.method], budget_of(row.task, row.shots)
        # Linear classifiers read their examples once.
        passes = budget.epochs if method.build else 1
        data = data_of_row(study.data(row.task), row.shots, seed)
        seconds[row] += of_method.seconds(data, passes, budget.batch_size)
        if row not in searched and method.rates and row.shots != ZERO and study.read_rate(row) is None:
            searched.add(row)
            data = data_of_search(study.data(row.task), row.shots, SEARCH_SEED)
            seconds[row] += TRIED_RATES * of_method.seconds(data, passes, budget.batch_size)
    return dict(seconds)


def measure_speed(study: TaskStudy, task: str, method: str, batch_sizes: Sequence[int]) -> PerExample:
    """Measure a method on a few examples of a task."""
    chosen, data = METHODS[method], study.data(task)
    if chosen.build:
        return _time_network(chosen.build(study.model, data, 0), data, batch_sizes, study.bf16)
    few = data.take_shots(min(LINEAR_EXAMPLES, len(data.train)), seed=0)
    started = time.process_time()
    assert chosen.fit is not None
    score = chosen.fit(few, chosen.rates.first[1] if chosen.rates else 0.0)
    middle = time.process_time()
    score(few.train)
    ended = time.process_time()
    return PerExample(
        (ended - middle) / len(few.train), dict.fromkeys(batch_sizes, (middle - started) / len(few.train))
    )


def _time_network(network: Network, data: ClozeData, batch_sizes: Sequence[int], bf16: bool) -> PerExample:
    """Time one step of each size, behind one that allocates memory. Their rows are as long as most."""
    examples = sorted(data.train[:SAMPLE], key=lambda example: len(str(example)))
    largest = max([SCORED, *batch_sizes])
    typical = examples[max(0, (len(examples) - largest) // 2) :][:largest]
    optimizer = torch.optim.AdamW(network.model.parameters(), lr=0.0)

    def step(size: int) -> float:
        started = time.process_time()
        network.model.train()
        with torch.autocast(network.model.device.type, torch.bfloat16, enabled=bf16):
            loss = network.model(**network.collate(network.encode(typical[:size]))).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return (time.process_time() - started) / min(size, len(typical))

    step(2)
    training = {size: step(size) for size in batch_sizes}
    network.score(typical[:1])
    started = time.process_time()
    network.score(typical[:SCORED])
    return PerExample((time.process_time() - started) / min(SCORED, len(typical)), training)


__all__ = ["PerExample", "estimate_rows", "measure_speed"]

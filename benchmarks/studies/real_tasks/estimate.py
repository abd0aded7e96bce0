"""Estimate the CPU time of cells before they run, from one batch of each kind."""

import time
from collections import defaultdict
from collections.abc import Sequence
from functools import cache

import torch

from modeling_glm.cloze.sources import ClozeData

from .budgets import budget_of, data_of_row, data_of_search
from .cells import SEARCH_SEED, Row, TaskStudy, missing_cells
from .methods import METHODS
from .neural import EVAL_BATCH, Network

# A search tries three learning rates, and sometimes more.
TRIED_RATES = 3.5
LINEAR_EXAMPLES = 400


def estimate_rows(study: TaskStudy, rows: Sequence[Row], seeds: Sequence[int]) -> dict[Row, float]:
    """Return the CPU seconds that the missing cells of each row will take, with the choice of their learning rates."""
    seconds: dict[Row, float] = defaultdict(float)
    searched: set[Row] = set()

    @cache
    def speed(task: str, method: str, batch_size: int) -> tuple[float, float]:
        return measure_speed(study, task, method, batch_size)

    for row, seed in missing_cells(study, rows, seeds):
        budget = budget_of(row.task, row.shots)
        # Random weights take as long as trained ones.
        method = "cloze" if row.method == "random" else row.method
        of_training, of_scoring = speed(row.task, method, budget.batch_size)
        data = data_of_row(study.data(row.task), row.shots, seed)
        passes = budget.epochs if METHODS[row.method].build else 1
        seconds[row] += of_training * passes * len(data.train)
        seconds[row] += of_scoring * (len(data.test) + len(data.validation))
        if row in searched or not METHODS[row.method].rates or not data.train or study.read_rate(row):
            continue
        searched.add(row)
        data = data_of_search(study.data(row.task), row.shots, SEARCH_SEED)
        seconds[row] += TRIED_RATES * of_training * passes * len(data.train)
        seconds[row] += TRIED_RATES * of_scoring * len(data.validation)
    return dict(seconds)


def measure_speed(study: TaskStudy, task: str, method: str, batch_size: int) -> tuple[float, float]:
    """Return the CPU seconds per example of a training step, and of scoring."""
    chosen, data = METHODS[method], study.data(task)
    if chosen.build:
        return _time_network(chosen.build(study.model, data, 0), data, batch_size, study.bf16)
    few = data.take_shots(min(LINEAR_EXAMPLES, len(data.train)), seed=0)
    started = time.process_time()
    assert chosen.fit is not None
    score = chosen.fit(few, chosen.rates.first[1] if chosen.rates else 0.0)
    middle = time.process_time()
    score(few.train)
    return (middle - started) / len(few.train), (time.process_time() - middle) / len(few.train)


def _time_network(network: Network, data: ClozeData, batch_size: int, bf16: bool) -> tuple[float, float]:
    """Time the second of two steps, because the first one allocates memory. Its rows are as long as most."""
    examples = sorted(data.train[: 4 * EVAL_BATCH], key=lambda example: len(str(example)))
    middle = len(examples) // 2
    typical = examples[max(0, middle - EVAL_BATCH // 2) :][:EVAL_BATCH]
    network.score(typical)
    started = time.process_time()
    network.score(typical)
    of_scoring = (time.process_time() - started) / len(typical)
    typical, optimizer = typical[:batch_size], torch.optim.AdamW(network.model.parameters(), lr=0.0)
    network.model.train()
    for _ in range(2):
        started = time.process_time()
        with torch.autocast(network.model.device.type, torch.bfloat16, enabled=bf16):
            loss = network.model(**network.collate(network.encode(typical))).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return (time.process_time() - started) / len(typical), of_scoring


__all__ = ["estimate_rows", "measure_speed"]

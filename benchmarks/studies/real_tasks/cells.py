"""Run the cells of the study, choose their learning rates, and keep the results in files."""

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import cache
from itertools import product
from math import sqrt
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from examples.corpora.real_tasks import REAL_TASKS
from modeling_glm.cloze.answers.reliability import expected_calibration_error
from modeling_glm.cloze.calibration import Calibration, find_temperature
from modeling_glm.cloze.sources import ClozeData, Examples
from modeling_glm.runs.fine_tuning import require_same_description
from modeling_glm.utils.files import write_whole

from ...harness.machine import describe_this_machine
from .budgets import SHOTS, TEST_EXAMPLES, ZERO, budget_of, data_of_row, data_of_search
from .methods import METHODS, Place, Rates
from .neural import Score

SEARCH_SEED = 0
FILES_OF_A_MODEL = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")


class Row(NamedTuple):
    """A method on a task with a number of examples. It has one learning rate, and one cell for each seed."""

    task: str
    shots: str
    method: str

    def seeds(self, seeds: Sequence[int]) -> Sequence[int]:
        """Return the seeds of its cells: all, or the first one if nothing depends on them."""
        return seeds if METHODS[self.method].depends_on_seed(self.shots) else seeds[:1]


def rows_of(tasks: Sequence[str], shots: Sequence[str], methods: Sequence[str]) -> list[Row]:
    """List the rows, the cheap ones first: few examples before many."""
    rows = [Row(task, number, method) for number, task, method in product(shots, tasks, methods)]
    return [row for row in rows if row.shots in METHODS[row.method].shots]


class TaskStudy:
    """
    The results of a model, in files of a folder: `TASK/SHOTS/METHOD/rate.json` and `seed-0.json`.

    Args:
        model: Folder or hub id of a GLM.
        folder: The folder of the results.
        bf16: Whether to train in bf16.
        load: Loads the data of a task by its name.

    Raises:
        ValueError: If the folder has the results of another model or of other budgets.
    """

    def __init__(self, model: str, folder: Path, bf16: bool = False, load: Callable[[str], ClozeData] | None = None):
        self.model, self.folder, self.bf16 = model, folder, bf16
        self.data = cache(load or (lambda task: REAL_TASKS[task]()))
        rows = product(REAL_TASKS, SHOTS)
        budgets = {f"{task}, {shots}": asdict(budget_of(task, shots)) for task, shots in rows}
        require_same_description(
            folder / "study.json",
            {
                "model": identity_of(model),
                "budgets": budgets,
                "test_examples": TEST_EXAMPLES,
                "precision": "bf16" if bf16 else "fp32",
            },
        )

    @staticmethod
    def read_description(folder: Path) -> dict[str, Any] | None:
        """Return the model, budgets and precision of the results in a folder, or None if there are none."""
        return _read(folder / "study.json")

    def read_rate(self, row: Row) -> dict[str, Any] | None:
        """Return what was found about the learning rate of a row: `rate` and all that were `tried`; None if nothing yet."""
        return _read(self._folder(row) / "rate.json")

    def read_result(self, row: Row, seed: int) -> dict[str, Any] | None:
        """Return the result of a cell, or None if it has not run yet."""
        return _read(self._folder(row) / f"seed-{seed}.json")

    def results(self, row: Row, seeds: Sequence[int]) -> list[dict[str, Any]]:
        """Return the results of the cells of a row that have run."""
        found = (self.read_result(row, seed) for seed in row.seeds(seeds))
        return [result for result in found if result is not None]

    def choose_rate(self, row: Row) -> float | None:
        """Choose the learning rate of a row on validation examples, or read it. None if it has none."""
        method = METHODS[row.method]
        if method.rates is None or row.shots == ZERO:
            return None
        if found := self.read_rate(row):
            return found["rate"]
        data = data_of_search(self.data(row.task), row.shots, SEARCH_SEED)

        def try_rate(rate: float) -> dict[str, float]:
            score, seconds = self._learn(row, data, rate, SEARCH_SEED)
            tried = measure(score(data.validation), classes_of(data, data.validation))
            return {"rate": rate, "accuracy": tried["accuracy"], "loss": tried["loss"], "seconds": seconds}

        tried = search(method.rates, try_rate, len(data.validation))
        best = best_of(tried, len(data.validation))
        write_whole(
            self._folder(row) / "rate.json", json.dumps({"rate": best["rate"], "tried": tried}, indent=2) + "\n"
        )
        return best["rate"]

    def run(self, row: Row, seed: int) -> dict[str, Any]:
        """Run a cell and keep its result, unless it is there."""
        if found := self.read_result(row, seed):
            return found
        rate, whole = self.choose_rate(row), self.data(row.task)
        method, data = METHODS[row.method], data_of_row(whole, row.shots, seed)
        if method.reads_all:
            data = replace(data, train=whole.train)
        score, seconds = self._learn(row, data, rate, seed)
        started = time.process_time()
        scores = score(data.test)
        result: dict[str, Any] = {"learning_rate": rate, "examples": len(data.train), "test_examples": len(data.test)}
        result |= {"train_seconds": seconds, "test_seconds": round(time.process_time() - started, 2)}
        result["machine"] = describe_this_machine()
        validation = data.validation if method.has_probabilities else []
        result |= measure(
            scores,
            classes_of(data, data.test),
            score(validation) if validation else None,
            classes_of(data, validation),
            method.has_probabilities,
        )
        write_whole(self._folder(row) / f"seed-{seed}.json", json.dumps(result, indent=2) + "\n")
        return result

    def _learn(self, row: Row, data: ClozeData, rate: float | None, seed: int) -> tuple[Score, float]:
        """Train a method. Returns its scores and the CPU seconds that it took."""
        folder = self._folder(row) / "training"
        shutil.rmtree(folder, ignore_errors=True)  # of a run that was stopped
        started = time.process_time()
        place = Place(model=self.model, bf16=self.bf16, folder=folder)
        score = METHODS[row.method].learn(data, rate, seed, budget_of(row.task, row.shots), place)
        return score, round(time.process_time() - started, 2)

    def _folder(self, row: Row) -> Path:
        return self.folder.joinpath(*row)


def search(rates: Rates, try_rate: Callable[[float], dict[str, float]], examples: int) -> list[dict[str, float]]:
    """
    Try learning rates: the first three, and then further ones while the best is the last in its direction.

    Args:
        rates: The first three, which differ by about the same factor, and the limits.
        try_rate: Returns "rate", "accuracy" and "loss" of a rate.
        examples: How many validation examples the accuracy comes from.

    Returns:
        What was tried, from low to high rates.
    """
    tried = [try_rate(rate) for rate in rates.first]
    ratio = rates.first[1] / rates.first[0]
    while True:
        best = best_of(tried, examples)
        if best is tried[0] and best["rate"] / ratio >= rates.low:
            tried.insert(0, try_rate(_rounded(best["rate"] / ratio)))
        elif best is tried[-1] and best["rate"] * ratio <= rates.high:
            tried.append(try_rate(_rounded(best["rate"] * ratio)))
        else:
            return tried


def best_of(tried: Sequence[dict[str, float]], examples: int) -> dict[str, float]:
    """
    Return the best of the tried rates.

    Accuracies within one standard error of the highest are level: among them the loss decides, as far as it matters,
    and then the accuracy.
    """
    highest = max(one["accuracy"] for one in tried)
    level = highest - sqrt(highest * (1 - highest) / examples)
    return max(
        (one for one in tried if one["accuracy"] >= level), key=lambda one: (-round(one["loss"], 2), one["accuracy"])
    )


def measure(
    scores: np.ndarray,
    gold: np.ndarray,
    validation_scores: np.ndarray | None = None,
    validation_gold: np.ndarray | None = None,
    has_probabilities: bool = True,
) -> dict[str, float]:
    """
    Measure scores (examples, classes) of examples with the classes `gold`.

    Returns:
        "accuracy"; "loss", the mean negative log-likelihood at the temperature that fits these examples best. For
        probabilities also "ece", the expected calibration error, and "ece_calibrated", with the "temperature" that fits
        the validation examples best.
    """
    metrics = {"accuracy": float((scores.argmax(1) == gold).mean())}
    if np.isfinite(scores).all():
        temperature = find_temperature(scores, gold).value
        right = Calibration(temperature=temperature).normalize(scores)[np.arange(len(gold)), gold]
        metrics["loss"] = float(-np.log(np.maximum(right, 1e-30)).mean())
    if has_probabilities:
        metrics["ece"] = expected_calibration_error(Calibration().normalize(scores), gold)
        if validation_scores is not None:
            assert validation_gold is not None
            found = find_temperature(validation_scores, validation_gold)
            # As in `modeling_glm.cloze.training.evaluate`, a temperature out of bounds is no good.
            metrics["temperature"] = 1.0 if found.problem else found.value
            calibrated = Calibration(temperature=metrics["temperature"]).normalize(scores)
            metrics["ece_calibrated"] = expected_calibration_error(calibrated, gold)
    return metrics


def classes_of(data: ClozeData, examples: Examples) -> np.ndarray:
    """Return the classes of labelled examples, (examples,) int64."""
    return np.array([data.task.label_index(example) for example in examples], dtype=np.int64)


def identity_of(model: str) -> dict[str, str]:
    """Return what tells a model from another: the checksums of its files, or its name on the hub."""
    files = [Path(model) / name for name in FILES_OF_A_MODEL]
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files if path.is_file()}
    return found or {"name": model}


def missing_cells(study: TaskStudy, rows: Sequence[Row], seeds: Sequence[int]) -> Iterator[tuple[Row, int]]:
    """Yield the cells that have not run yet."""
    for row in rows:
        yield from ((row, seed) for seed in row.seeds(seeds) if study.read_result(row, seed) is None)


def _read(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def _rounded(rate: float) -> float:
    return float(f"{rate:.0e}")


__all__ = ["Row", "TaskStudy", "measure", "missing_cells", "rows_of", "search"]

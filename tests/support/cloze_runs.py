"""Small fine-tuning runs of `02_cloze_classification.py`, and everything of them that must not depend on kills."""

import json
import os
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest

from modeling_glm import GLMForMultipleChoice, GLMTokenizer
from modeling_glm.runs.manifest import checkpoints, step_of
from tests.support.kills import Ended, KillableRun
from tests.support.models import make_model
from tests.support.scripts import run_script

# Files of a run that hold times or paths, and the lock.
VARYING = ("manifest.json", "training_args.bin", "_run.lock")
SCRIPT = "02_cloze_classification.py"
WORDS = {"good": ["lazy", "quick fox"], "bad": "capital"}
SMALL = {
    "train_file": "train.jsonl",
    "test_file": "test.jsonl",
    "predict_file": "new.jsonl",
    "model": "start",
    "output_dir": "run",
    "pattern": "{text|shorten} It was [MASK].",
    "verbalizer": json.dumps(WORDS),
    "max_steps": 4,
    "save_steps": 2,
    "logging_steps": 1,
    "per_device_train_batch_size": 4,
    "learning_rate": 1e-3,
    "disable_tqdm": "true",
    "dataloader_pin_memory": "false",
}
# What the runs differ in. An epoch has 3 steps.
RUNS: dict[str, dict[str, Any]] = {
    "plain": {},
    "a checkpoint at the end of the epoch": {"save_steps": 3, "max_steps": 6},
    "each step, one kept": {"save_steps": 1, "max_steps": 3, "logging_steps": 2},
    "lora": {"lora": True, "lora_rank": 2, "save_steps": 1},
    "merged lora": {"lora": True, "lora_rank": 2, "merge": True},
    "prompt tokens": {"freeze": True, "pattern": "{soft:2}{text|shorten} It was [MASK]."},
    "best model": {
        "save_strategy": "epoch",
        "max_steps": 9,
        "load_best_model_at_end": "true",
        "metric_for_best_model": "loss",
        "greater_is_better": "true",  # the first one
    },
    "from random weights too": {"compare": "true", "max_steps": 2, "save_steps": 1},
    "accumulation": {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2, "logging_steps": 3},
    "workers": {"dataloader_num_workers": 1, "max_steps": 2, "save_steps": 1},
    "no checkpoint": {"save_strategy": "no", "max_steps": 2},
    "zero-shot": {"zero_shot": True, "domain_premise": "Answer: [MASK]"},
}


class FineTuning(KillableRun):
    """
    A run of the script in a folder.

    Args:
        name: A name in `RUNS`.
        folder: Its folder, which is created.
        data: The folder with model and data, `fine_tuning_data`.
    """

    def __init__(self, name: str, folder: Path, data: Path):
        super().__init__(partial(fine_tune, folder, RUNS[name]), folder)
        folder.mkdir(parents=True)
        for path in data.iterdir():
            (folder / path.name).symlink_to(path)

    def results(self) -> dict[str, Any]:
        """Read everything that must not depend on kills: results, models, and the newest checkpoints."""
        run, found = self.folder / "run", {}
        # Older checkpoints may stay, of a run that was killed between its last save and their deletion.
        newest = {max(checkpoints(parent), key=step_of) for parent in run.iterdir() if checkpoints(parent)}
        older = {path for parent in run.iterdir() for path in checkpoints(parent)} - newest
        for path in sorted(run.rglob("*")):
            name = path.relative_to(run).as_posix()
            if path in older or older.intersection(path.parents) or path.name in VARYING:
                continue
            if path.name == "trainer_state.json":
                found[name] = _without_times(json.loads(path.read_text())["log_history"])
            else:
                found[name] = path.read_bytes() if path.is_file() else None
        return found

    def check(self, expected: dict[str, Any]):
        """Compare the results with those of a run without a kill, bit by bit."""
        found = self.results()
        assert set(found) == set(expected)
        assert {name for name in expected if found[name] != expected[name]} == set()


@pytest.fixture(scope="session")
def fine_tuned(fine_tuning_data, tmp_path_factory) -> Callable[[str], tuple[Ended, dict[str, Any]]]:
    """A function that gives a run without a kill by its name: how it ended, and its results. Each runs once."""

    @cache
    def build(name: str) -> tuple[Ended, dict[str, Any]]:
        run = FineTuning(name, tmp_path_factory.mktemp("fine_tuned") / "run", fine_tuning_data)
        return run.finish(), run.results()

    return build


@pytest.fixture(scope="session")
def fine_tuning_data(tokenizer: GLMTokenizer, tmp_path_factory) -> Path:
    """A folder with a small model with dropout, and its data."""
    folder = tmp_path_factory.mktemp("fine_tuning")
    settings = {"vocab_size": len(tokenizer), "max_position_embeddings": 64, **tokenizer.special_token_ids}
    settings |= {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "hidden_dropout": 0.1}
    make_model(GLMForMultipleChoice, **settings).save_pretrained(folder / "start")
    tokenizer.save_pretrained(folder / "start")
    for name, start, count in (("train", 0, 14), ("test", 20, 6), ("new", 30, 3)):
        rows = [{"text": f"The number {n}", "label": ("good", "bad")[n % 2]} for n in range(start, start + count)]
        if name == "new":
            rows = [{"text": row["text"]} for row in rows]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def fine_tune(folder: Path, settings: dict[str, Any]):
    """Run the script in a folder, in this process. True stands for a switch."""
    os.chdir(folder)
    words: list[Any] = []
    for name, value in {**SMALL, **settings}.items():
        words += [f"--{name}"] if value is True else [f"--{name}", value]
    run_script(SCRIPT, *words)


def _without_times(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out the times, and the mean loss since the last start."""
    timed = ("runtime", "per_second", "train_loss")
    return [{name: value for name, value in entry.items() if not name.endswith(timed)} for entry in history]

"""Pretraining that is killed at any moment: the same command resumes, with the losses and weights of a run without a kill."""

import json
import random
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.kills import Ended, Kill, draw_kill, watch
from tests.support.pretraining_runs import pretrain, write_texts

pytestmark = pytest.mark.slow

# What the runs differ in. All have 4 steps, and checkpoints after 2 and 4.
RUNS: dict[str, dict[str, Any]] = {
    "plain": {},
    "one checkpoint": {"save_total_limit": 1, "save_steps": 1},
    "dropout": {"dropout": 0.2, "save_steps": 1},
    "log every 3 steps": {"logging_steps": 3},
    "best model": {
        "load_best_model_at_end": "true",
        "metric_for_best_model": "token_loss",
        "greater_is_better": "true",  # the first one
        "save_total_limit": 1,
    },
    "tensorboard": {"report_to": "tensorboard"},
    "workers": {"dataloader_num_workers": 1},
    "no checkpoint": {"save_strategy": "no"},
    "accumulation": {"per_device_train_batch_size": 2, "logging_steps": 3, "save_steps": 1},
}


def command(folder: Path, **settings: Any) -> Callable:
    """Return a run, which a child can call."""
    return partial(pretrain, folder, **{"max_steps": 4, "validation_texts": 4, **settings})


def new_folder(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write_texts(folder / "texts.txt", 60)
    return folder


def result(folder: Path) -> dict[str, Any]:
    """Read everything of a run that must not depend on kills."""
    final = folder / "run" / "final"
    summary = json.loads((final / "training.json").read_text())
    found: dict[str, Any] = {
        "summary": {name: summary[name] for name in ("arguments", "validation_loss", "train_texts", "train_tokens")},
        "weights": (final / "model.safetensors").read_bytes(),
        "vocabulary": (final / "tokenizer.json").read_bytes(),
        "curve": (final / "loss.png").read_bytes(),
    }
    for name in ("output_dir", "corpus", "logging_dir"):
        found["summary"]["arguments"].pop(name, None)
    newest = max((folder / "run").glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]), default=None)
    if newest is not None:
        history = json.loads((newest / "trainer_state.json").read_text())["log_history"]
        timed = ("epoch", "runtime", "per_second", "mfu", "tokens_seen", "padding")
        found["log"] = [
            {name: value for name, value in entry.items() if not name.endswith(timed)} for entry in history
        ]
        for name in ("model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth"):
            found[name] = (newest / name).read_bytes()
    found["names"] = sorted(path.name for path in (folder / "run").iterdir())
    return found


def check(folder: Path, expected: dict[str, Any]):
    found = result(folder)
    different = [name for name in expected if found.get(name) != expected[name]]
    assert not different, {
        name: (found.get(name), expected[name]) for name in different if not isinstance(expected[name], bytes)
    }


def finish(run: Callable, folder: Path, ended: Ended):
    """Start the same command again. It must neither refuse nor fail."""
    again = watch(run, root=folder)
    assert again.code == 0, f"{ended.writes[-1:]}\n{again.output}"


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Callable[[str], tuple[Ended, dict[str, Any]]]:
    """Runs without a kill, by name: how they ended, and their results."""

    @cache
    def train(name: str) -> tuple[Ended, dict[str, Any]]:
        folder = new_folder(tmp_path_factory.mktemp("whole"))
        ended = watch(command(folder, **RUNS[name]), root=folder)
        assert ended.code == 0, ended.output
        return ended, result(folder)

    return train


def test_every_write(stress, whole, tmp_path):
    """Kill the run before each of its writes, and in the middle of each file."""
    ended, expected = whole("plain")
    points = [(number, torn) for torn in (None, 0, 100) for number in range(len(ended.writes))]
    random.Random(0).shuffle(points)
    for case in stress.cases(12, smoke=1, memory=None):
        with case:
            write, torn = points[case.number % len(points)]
            folder = new_folder(tmp_path / str(case.number))
            run = command(folder)
            finish(run, folder, watch(run, root=folder, kill=Kill(write=write, torn=torn)))
            check(folder, expected)


def test_any_moment(stress, whole, tmp_path):
    """Kill a run up to three times, also while it resumes."""
    for case in stress.cases(12, smoke=1, memory=None):
        with case:
            name = case.random.choice(list(RUNS))
            ended, expected = whole(name)
            folder = new_folder(tmp_path / str(case.number))
            run = command(folder, **RUNS[name])
            for _ in range(case.random.randint(1, 3)):
                ended = watch(run, root=folder, kill=draw_kill(whole(name)[0], case.random))
                assert ended.killed or ended.code == 0, ended.output
            finish(run, folder, ended)
            check(folder, expected)

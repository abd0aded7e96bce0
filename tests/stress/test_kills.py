"""Pretraining that is killed at any moment: the same command resumes, with the losses and weights of a run without a kill."""

import json
import random
import re
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest

from modeling_glm.pretraining import run
from modeling_glm.pretraining.data import EmbeddedCorpora, TextSplits
from modeling_glm.pretraining.settings import parse_arguments
from tests.support import distributed_run
from tests.support.kills import Ended, Kill, KillableRun, draw_kill, free_port, start_together, wait_for_all
from tests.support.pretraining_runs import options, write_texts

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
    "embedded corpus": {"corpus": "embedded"},
    "no validation": {"eval_strategy": "no", "dropout": 0.1, "logging_steps": 2, "save_steps": 1},
    "more steps": {},  # of a run that has ended after 2
}
EMBEDDED = EmbeddedCorpora(
    builders={
        "embedded": lambda: TextSplits(
            train=[f"{n} times ten is {n}0." for n in range(60)], held_out=[f"{n} is a number." for n in range(60, 70)]
        )
    },
    describe=lambda names: "Texts of a test.",
    measure=lambda *_: {"results": "All is well."},
)
FILES = ("model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth")
# Entries of the log that depend on the clock, or on the place where a run resumes.
TIMED = ("epoch", "runtime", "per_second", "mfu", "tokens_seen", "padding")


def train(folder: Path, settings: dict[str, Any]):
    """Run a pretraining in the process that is killed."""
    words = options(folder, **{"max_steps": 4, "validation_texts": 4, **settings})
    run.pretrain(*parse_arguments("", words), EMBEDDED)


class SmallRun(KillableRun):
    """
    A pretraining in a folder.

    Args:
        name: A name in `RUNS`.
        folder: Its folder, which is created.
    """

    def __init__(self, name: str, folder: Path):
        super().__init__(partial(train, folder, RUNS[name]), folder)
        folder.mkdir(parents=True)
        write_texts(folder / "texts.txt", 60)
        if name == "more steps":
            self.finish(partial(train, folder, {"max_steps": 2}))

    def results(self) -> dict[str, Any]:
        """Read everything that must not depend on kills."""
        final = self.folder / "run" / "final"
        summary = json.loads((final / "training.json").read_text())
        found: dict[str, Any] = {
            "losses": summary["validation_loss"],
            "texts": (summary["train_texts"], summary["train_tokens"], summary["validation_texts"]),
            "weights": (final / "model.safetensors").read_bytes(),
            "vocabulary": (final / "tokenizer.json").read_bytes(),
            "curve": (final / "loss.png").read_bytes(),
        }
        checkpoints = (self.folder / "run").glob("checkpoint-*")
        newest = max(checkpoints, key=lambda path: int(path.name.split("-")[1]), default=None)
        if newest is not None:
            history = json.loads((newest / "trainer_state.json").read_text())["log_history"]
            found["log"] = [
                {name: value for name, value in entry.items() if not name.endswith(TIMED)} for entry in history
            ]
            found |= {name: (newest / name).read_bytes() for name in FILES}
        # The names of tokenized corpora follow from the times of their files. Older checkpoints may stay, of a run that was
        # killed between its last save and their deletion.
        varying = re.compile(r"checkpoint-\d+|.+-[0-9a-f]{16}")
        paths = [path for name in ("run", "cache") for path in (self.folder / name).iterdir()]
        found["names"] = sorted(path.name for path in paths if not varying.fullmatch(path.name))
        return found

    def check(self, expected: dict[str, Any]):
        """Compare the results with those of a run without a kill, bit by bit."""
        found = self.results()
        different = {name for name in expected if found.get(name) != expected[name]}
        assert not different, [(found[name], expected[name]) for name in different & {"names", "log", "losses"}]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Callable[[str], tuple[Ended, dict[str, Any]]]:
    """Runs without a kill, by name: how they ended, and their results."""

    @cache
    def build(name: str) -> tuple[Ended, dict[str, Any]]:
        small = SmallRun(name, tmp_path_factory.mktemp("whole") / "run")
        return small.finish(), small.results()

    return build


def test_every_write(stress, whole, tmp_path):
    """Kill the run before each of its writes, and in the middle of each file: 20 times the usual cases are all of them."""
    ended, expected = whole("plain")
    points = [Kill(write=number) for number in range(len(ended.writes))]
    points += [
        Kill(write=number, torn=100)
        for number, write in enumerate(ended.writes)
        if write.startswith(("open", "torch", "safetensors", "tokenizer", "arrow"))
    ]
    random.Random(0).shuffle(points)
    for case in stress.cases(12, smoke=1, memory=None):
        with case:
            small = SmallRun("plain", tmp_path / str(case.number))
            small.kill(points[case.number % len(points)])
            small.finish()
            small.check(expected)


def test_any_moment(stress, whole, tmp_path):
    """Kill a run up to three times, also while it resumes."""
    for case in stress.cases(10, smoke=0, memory=None, seconds=120):
        with case:
            name = case.random.choice(list(RUNS))
            ended, expected = whole(name)
            small = SmallRun(name, tmp_path / str(case.number))
            for _ in range(case.random.randint(1, 3)):
                small.kill(draw_kill(ended, case.random))
            small.finish()
            small.check(expected)


@pytest.fixture(scope="module")
def words(tokenizer, tmp_path_factory) -> Callable[[Path], list[str]]:
    """The command line of a run in two processes."""
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer.save_pretrained(folder)
    settings = ["--batch_size", "4", "--dropout", "0.2", "--logging_steps", "3", "--save_steps", "1", "--limit", "1"]
    return lambda run: [str(folder), str(run), *settings]


def train_together(words: list[str], root: Path, kills: dict[int, Kill] | None = None) -> list[Ended]:
    running = start_together(
        distributed_run.main, words, count=2, root=root, port=free_port(), kills=kills, ACCELERATE_USE_CPU="true"
    )
    return wait_for_all(running, 60)


def read_together(folder: Path) -> list[bytes]:
    names = ("losses.json", *(f"checkpoint-4/{name}" for name in FILES[:3]), "checkpoint-4/rng_state_1.pth")
    return [(folder / name).read_bytes() for name in names]


@pytest.fixture(scope="module")
def together(words, tmp_path_factory) -> Callable[[], tuple[list[Ended], list[bytes]]]:
    """A run in two processes without a kill, for the first case that asks for it."""

    @cache
    def build() -> tuple[list[Ended], list[bytes]]:
        folder = tmp_path_factory.mktemp("together")
        ended = train_together(words(folder), folder)
        assert [end.code for end in ended] == [0, 0], ended[0].output + ended[1].output
        return ended, read_together(folder)

    return build


def test_two_processes(stress, words, together, tmp_path):
    """Kill both processes, or one of them. The other one ends by itself."""
    for case in stress.cases(4, smoke=0, memory=None, seconds=180):
        with case:
            ended, expected = together()
            folder = tmp_path / str(case.number)
            folder.mkdir()
            killed = case.random.choice([(0,), (1,), (0, 1)])
            kills = {number: draw_kill(ended[number], case.random) for number in killed}
            stopped = train_together(words(folder), folder, kills)
            assert {number for number in (0, 1) if stopped[number].killed} <= set(killed)
            again = train_together(words(folder), folder)
            assert [end.code for end in again] == [0, 0], again[0].output + again[1].output
            assert read_together(folder) == expected

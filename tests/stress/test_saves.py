"""Saves that are killed at any moment: fine-tuning resumes bit by bit, and every file and folder is the old one or the new one."""

import random
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest

from modeling_glm import GLMTokenizer, convert_checkpoint
from modeling_glm.cli.main import app
from modeling_glm.hub.card import write_model_card
from modeling_glm.hub.push import save_code
from tests.support.checkpoints import base_weights, save_module
from tests.support.cloze_runs import RUNS, FineTuning, fine_tune
from tests.support.kills import Ended, Kill, draw_kill, free_port, start_together, wait_for_all, watch
from tests.support.models import tiny_config

pytestmark = pytest.mark.slow
NATIVE = ("open", "torch", "safetensors", "tokenizer", "arrow")


def kill_points(ended: Ended) -> list[Kill]:
    """Return every write of a run, and the middle of every file, in a random order."""
    points = [Kill(write=number) for number in range(len(ended.writes))]
    points += [Kill(write=number, torn=100) for number, text in enumerate(ended.writes) if text.startswith(NATIVE)]
    random.Random(0).shuffle(points)
    return points


def test_fine_tuning_at_every_write(stress, fine_tuned, fine_tuning_data, tmp_path):
    """
    Forty times the usual cases are all points.

    `make test` has four of them in tests/examples/test_cloze_classification.py.
    """
    for case in stress.cases(8, smoke=0, memory=None, seconds=120):
        with case:
            ended, expected = fine_tuned("plain")
            points = kill_points(ended)
            run = FineTuning("plain", tmp_path / str(case.number), fine_tuning_data)
            run.kill(points[case.number % len(points)])
            run.finish()
            run.check(expected)


def test_fine_tuning_at_any_moment(stress, fine_tuned, fine_tuning_data, tmp_path):
    """Kill a run up to three times, also while it resumes."""
    for case in stress.cases(12, smoke=1, memory=None, seconds=120):
        with case:
            name = case.random.choice(list(RUNS))
            ended, expected = fine_tuned(name)
            run = FineTuning(name, tmp_path / str(case.number), fine_tuning_data)
            for _ in range(case.random.randint(1, 3)):
                run.kill(draw_kill(ended, case.random))
            run.finish()
            run.check(expected)


def fine_tune_together(run: FineTuning, kills: dict[int, Kill] | None = None) -> list[Ended]:
    settings = {"save_steps": 1, "max_steps": 3}
    running = start_together(
        fine_tune,
        run.folder,
        settings,
        count=2,
        root=run.folder,
        port=free_port(),
        kills=kills,
        ACCELERATE_USE_CPU="true",
    )
    return wait_for_all(running, 90)


@pytest.fixture(scope="module")
def together(fine_tuning_data, tmp_path_factory) -> Callable[[], tuple[list[Ended], dict[str, Any]]]:
    """A run in two processes without a kill, for the first case that asks for it."""

    @cache
    def build() -> tuple[list[Ended], dict[str, Any]]:
        run = FineTuning("plain", tmp_path_factory.mktemp("together") / "run", fine_tuning_data)
        ended = fine_tune_together(run)
        assert [end.code for end in ended] == [0, 0], ended[0].output + ended[1].output
        assert "accuracy" in ended[0].output
        assert "accuracy" not in ended[1].output  # the first process says it for all
        return ended, run.results()

    return build


def test_fine_tuning_in_two_processes(stress, together, fine_tuning_data, tmp_path):
    """Kill both processes, or one of them. The other one ends by itself."""
    for case in stress.cases(3, smoke=0, memory=None, seconds=240):
        with case:
            ended, expected = together()
            run = FineTuning("plain", tmp_path / str(case.number), fine_tuning_data)
            killed = case.random.choice([(0,), (1,), (0, 1)])
            kills = {number: draw_kill(ended[number], case.random) for number in killed}
            stopped = fine_tune_together(run, kills)
            assert {number for number in (0, 1) if stopped[number].killed} <= set(killed)
            again = fine_tune_together(run)
            assert [end.code for end in again] == [0, 0], again[0].output + again[1].output
            run.check(expected)


# Every other save. It writes below "out", whose old content has been written with another number.
def convert(folder: Path, number: int, **options: Any):
    source = folder / f"{number}.pt"
    convert_checkpoint(source, folder / "out" / "model", config=tiny_config(), overwrite=True, **options)


def save_tokenizer(folder: Path, number: int):
    tokenizer = GLMTokenizer.from_pretrained(folder / "start")
    tokenizer.with_cloze({"patterns": ["{a} [MASK]"], "verbalizer": {"x": "x", "y": f"y{number}"}}).save_pretrained(
        folder / "out"
    )


def save_card(folder: Path, number: int):
    write_model_card(folder / "out", tiny_config(hidden_size=32 * number), model_id="small")


def save_model_code(folder: Path, number: int):
    save_code(tiny_config(), folder / "out")


def fill_texts(folder: Path, number: int):
    words = ["choose", str(folder / "start"), f"The number {number} is [MASK].", "good", "bad"]
    app([*words, "--output", str(folder / "out" / "answers.jsonl")], standalone_mode=False)


SAVES: dict[str, Callable[[Path, int], None]] = {
    "conversion": convert,
    "conversion in shards": partial(convert, shards=2),
    "conversion in files": partial(convert, max_shard_size=20_000),
    "tokenizer": save_tokenizer,
    "card": save_card,
    "code": save_model_code,
    "answers": fill_texts,
}


def read(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file() and ".partial" not in str(path)]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def sources(fine_tuning_data, tmp_path_factory) -> Path:
    folder = new_folder(tmp_path_factory.mktemp("sources") / "files", fine_tuning_data)
    for number in (1, 2):
        weights = {name: tensor * number for name, tensor in base_weights().items()}
        save_module(folder / f"{number}.pt", weights)
    return folder


@pytest.fixture(scope="module")
def states(sources, tmp_path_factory) -> Callable[[str], tuple[Ended, dict[str, bytes], dict[str, bytes]]]:
    """How a save ends without a kill, and the contents before and after it, by its name."""

    @cache
    def build(name: str) -> tuple[Ended, dict[str, bytes], dict[str, bytes]]:
        folder = new_folder(tmp_path_factory.mktemp("save") / "run", sources)
        before, ended, after = {}, None, {}
        for number in (1, 2):
            before, ended = after, watch(SAVES[name], folder, number, root=folder)
            assert ended.code == 0, ended.output
            after = read(folder / "out")
        assert after
        return ended, before, after

    return build


def new_folder(folder: Path, sources: Path) -> Path:
    folder.mkdir(parents=True)
    for path in sources.iterdir():
        (folder / path.name).symlink_to(path)
    return folder


def test_other_saves(stress, states, sources, tmp_path):
    """Every file is the old one or the new one; a folder as a whole, if it is made as one."""
    names = list(SAVES)
    for case in stress.cases(28, smoke=1, memory=None):
        with case:
            name = names[case.number % len(names)]
            ended, before, after = states(name)
            points = kill_points(ended)
            kill = points[case.number // len(names) % len(points)]
            folder = new_folder(tmp_path / str(case.number), sources)
            watch(SAVES[name], folder, 1, root=folder)
            assert watch(SAVES[name], folder, 2, root=folder, kill=kill).killed
            found = read(folder / "out")
            if name.startswith("conversion"):
                assert found in (before, after)
            assert all(content in (before.get(file), after.get(file)) for file, content in found.items())
            again = watch(SAVES[name], folder, 2, root=folder)
            assert again.code == 0, again.output
            assert read(folder / "out") == after
            assert not [path for path in folder.rglob("*") if path.name.endswith((".partial", ".old"))]

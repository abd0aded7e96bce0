"""The study that times training steps of small models."""

import json

import pytest

from benchmarks.studies import small_steps
from benchmarks.studies.small_steps import MeasuredStep, Setting, compare

SMALL = ["--hidden", "16", "--layers", "1", "--heads", "2", "--vocabulary", "8192", "--tokens", "64", "--packed", "64"]


@pytest.fixture(autouse=True)
def texts(monkeypatch):
    """Short texts, because building the embedded corpus takes seconds."""
    monkeypatch.setattr(small_steps, "training_texts", lambda count: [f"The number {n} is odd." for n in range(count)])


def test_speeds_by_hand(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(small_steps.time, "process_time", lambda: now[0])

    def wait(seconds: float):
        now[0] += seconds

    first = MeasuredStep(run=lambda: wait(2.0), tokens=100)
    other = MeasuredStep(run=lambda: wait(0.5), tokens=50)
    assert compare(first, other, rounds=2) == {"tokens_per_second": 100.0, "times_as_fast": 2.0}


def test_a_study_is_resumed(tmp_path, capsys, monkeypatch):
    line = [*SMALL, "--rounds", "1", "--output", str(tmp_path / "runs" / "steps.json")]
    small_steps.main([*line, "--precision", "fp32", "bf16"])
    before = json.loads((tmp_path / "runs" / "steps.json").read_text())
    measured = []
    monkeypatch.setattr(
        small_steps, "compare", lambda *_: measured.append(1) or {"tokens_per_second": 7.0, "times_as_fast": 2.0}
    )
    small_steps.main([*line, "--precision", "fp32", "bf16", "--optimizer", "adamw", "muon"])
    assert len(measured) == 2  # the two with Muon
    (results,) = json.loads((tmp_path / "runs" / "steps.json").read_text()).values()
    (kept,) = before.values()
    assert len(results) == 4
    assert {name: results[name] for name in kept} == kept
    machine, *_ = lines = capsys.readouterr().out.splitlines()
    assert machine == small_steps.describe_this_machine()
    shown = lines[-4:]
    assert all(row.startswith("| 16 | 1 | 2 | 8192 | 64 | 64 |") for row in shown)
    assert shown[-1].endswith("| bf16 | eager | muon | 7 | 2 |")


def test_texts_fill_the_batch():
    step = small_steps.make_measured(Setting(hidden=16, layers=1, heads=2, vocabulary=8192, tokens=512), text=32)
    assert 350 < step.tokens < 700

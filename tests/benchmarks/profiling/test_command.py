"""The command `python -m benchmarks profile`."""

from dataclasses import replace

import pytest
import torch

from benchmarks import __main__ as benchmarks
from benchmarks.profiling import command
from benchmarks.profiling.measuring import PartTimes
from benchmarks.profiling.page import Profiles
from tests.benchmarks.profiling.test_page import BLOCKS


@pytest.fixture
def measured(monkeypatch, machine, profile) -> list[str]:
    """Nothing is measured. Returns the works that were asked for."""
    asked = []

    def make(name: str):
        return lambda size, *model: asked.append(" ".join((name, *model))) or [name]

    def measure(work, machine, rounds):
        operators = {("attention", "bmm"): 0.5, ("matmuls of the blocks", "mm"): 1.5}
        return replace(profile, title=work), PartTimes(categories=profile.categories, operators=operators)

    monkeypatch.setattr(command, "WORKS", {name: make(name) for name in ("training", "decoding")})
    monkeypatch.setattr(command, "training", make("training"))
    monkeypatch.setattr(command, "measure_work", measure)
    monkeypatch.setattr(command, "measure_machine", lambda *args, **kwargs: machine)
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)
    return asked


def test_a_work_is_printed(measured, capsys):
    benchmarks.main(["profile", "training", "--size", "tiny", "--top", "1"])
    shown = capsys.readouterr().out
    assert measured == ["training GLM"]
    assert shown.startswith("Some CPU, 2 cores, 1 threads, without bf16 instructions")
    assert "| matmuls of the blocks | 1.5 | 75.0% |" in shown
    assert "1.5000 s  75.0%  mm (matmuls of the blocks)" in shown
    assert "bmm" not in shown


def test_another_model_is_trained(measured):
    benchmarks.main(["profile", "training", "--model", "BART"])
    assert measured == ["training BART"]


def test_page_keeps_the_works_of_like_machines(measured, machine, tmp_path):
    page = tmp_path / "profile.md"
    page.write_text(BLOCKS)
    benchmarks.main(["profile", "--write", str(page)])
    benchmarks.main(["profile", "decoding", "--write", str(page)])
    found = Profiles.read(tmp_path / "profile_cpu.json")
    assert list(found.works) == ["training", "decoding"]
    commands = [f"python -m benchmarks profile{work} --write {page}" for work in ("", " decoding")]
    assert found.command == " && ".join(commands)
    assert "### training" in page.read_text()
    other = replace(found, machine=replace(machine, device="Other CPU"))
    other.write(tmp_path / "profile_cpu.json")
    with pytest.raises(SystemExit, match="figures of another machine"):
        benchmarks.main(["profile", "decoding", "--write", str(page)])
    assert Profiles.read(tmp_path / "profile_cpu.json") == other
    benchmarks.main(["profile", "--write", str(page)])
    assert Profiles.read(tmp_path / "profile_cpu.json").machine == machine


def test_another_machine_has_a_file_of_its_own(measured, tmp_path):
    page = tmp_path / "profile.md"
    page.write_text(BLOCKS)
    for machine in ([], ["--machine", "laptop"]):
        benchmarks.main(["profile", "training", *machine, "--write", str(page)])
    assert sorted(path.name for path in tmp_path.glob("*.json")) == ["profile_cpu.json", "profile_cpu_laptop.json"]
    assert "| part | time, s, main | share, main | time, s, laptop | share, laptop |" in page.read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sleeping"], "sleeping: expected some of training, decoding, filling, scoring"),
        (["--rounds", "0"], "must be at least 1"),
        (["--machine", "my laptop"], "--machine my laptop: expected letters, digits and -"),
        (["training", "--model", "BART", "--write"], "--model BART: only training has other models"),
        (["decoding", "--model", "BART"], "--model BART: only training has other models"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        benchmarks.parse_arguments(["profile", *arguments])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err

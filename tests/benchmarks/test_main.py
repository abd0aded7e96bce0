"""The command line of the benchmarks."""

import json
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from benchmarks import __main__ as command
from benchmarks.harness.results import Results, Value
from benchmarks.suites import SUITES
from tests.support.paths import ROOT


@pytest.fixture
def suites(monkeypatch, machine) -> dict:
    """Suites that measure nothing, and by name what they do."""
    actions = {name: lambda name=name: [Value(work=name, value=1.0, unit="s")] for name in SUITES}
    monkeypatch.setattr(command, "load_suite", lambda name: SimpleNamespace(run=lambda settings: actions[name]()))
    monkeypatch.setattr(command, "measure_machine", lambda *args: machine)
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)
    return actions


def test_all_suites_run_in_order(suites, tmp_path, capsys):
    command.main(["run", "--output", str(tmp_path)])
    found = Results.read(tmp_path / "performance_cpu.json")
    assert list(found.suites) == list(SUITES)
    assert found.command == f"python -m benchmarks run --output {tmp_path}"
    shown = capsys.readouterr().out
    assert shown.startswith("Some CPU, 2 cores, 1 threads, without bf16 instructions")
    assert "memory bandwidth 20.0 GB/s; matmul peak 300 GFLOP/s (Tiny float32), 300 GFLOP/s (Tiny bfloat16)" in shown
    assert "| measured | value |\n| --- | --- |\n| training | 1 s |" in shown


def test_stopped_run_leaves_finished_suites(suites, tmp_path):
    suites["scoring"] = lambda: 1 / 0
    with pytest.raises(ZeroDivisionError):
        command.main(["run", "--output", str(tmp_path)])
    assert list(json.loads((tmp_path / "performance_cpu.json").read_text())["suites"]) == ["training"]


def test_single_suite_keeps_the_others(suites, tmp_path):
    command.main(["run", "--output", str(tmp_path)])
    suites["data"] = lambda: [Value(work="new", value=2.0, unit="s")]
    command.main(["run", "--only", "data", "--output", str(tmp_path)])
    both = Results.read(tmp_path / "performance_cpu.json")
    assert [result.work for results in both.suites.values() for result in results] == [
        "new" if name == "data" else name for name in SUITES
    ]
    # The page says which commands gave the figures.
    output = f"--output {tmp_path}"
    assert both.command == f"python -m benchmarks run {output} && python -m benchmarks run --only data {output}"
    command.main(["run", "--only", "data", "--output", str(tmp_path)])
    assert Results.read(tmp_path / "performance_cpu.json").command == both.command


def test_another_machine_has_a_file_of_its_own(suites, tmp_path):
    command.main(["run", "--only", "data", "--machine", "laptop", "--output", str(tmp_path)])
    assert [path.name for path in tmp_path.iterdir()] == ["performance_cpu_laptop.json"]


@pytest.mark.parametrize("difference", [{"device": "Another CPU"}, {"has_bf16": True}, {"cores": 64}])
def test_results_of_another_machine_are_not_lost(suites, tmp_path, machine, difference):
    path = tmp_path / "performance_cpu.json"
    other = Results(
        command="",
        machine=type(machine)(**{**vars(machine), **difference}),
        suites={"training": [Value(work="old", value=1.0, unit="s")]},
    )
    other.write(path)
    with pytest.raises(SystemExit, match=r"performance_cpu.json has the figures of another machine .* --machine NAME"):
        command.main(["run", "--only", "data", "--output", str(tmp_path)])
    assert Results.read(path) == other
    command.main(["run", "--output", str(tmp_path)])  # all of them are measured again
    assert Results.read(path).machine == machine


def test_only_a_whole_run_on_the_cpu_writes_the_page(suites, tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(command, "write_page", lambda: written.append(True))
    monkeypatch.setattr(command.report, "PAGE", tmp_path / "performance.md")
    command.main(["run", "--output", str(tmp_path / "elsewhere")])
    assert not written
    command.main(["run", "--only", "data"])
    assert len(written) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "nothing"], "--only nothing: expected some of training"),
        (["--device", "cuda"], "torch finds no GPU"),
        (["--device", "cuda", "--only", "data"], "--only data: expected some of training, scoring, decoding"),
        (["--rounds", "0"], "must be at least 1"),
        (["--machine", "my laptop"], "--machine my laptop: expected letters, digits and -"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit) as stop:
        command.parse_arguments(["run", *arguments])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_list_describes_every_suite(capsys):
    command.main(["list"])
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert list(lines) == list(SUITES)
    assert all(description.endswith(".") for description in lines.values())


def test_page_is_written_from_the_file(tmp_path, monkeypatch, results):
    results.write(tmp_path / "performance_cpu.json")
    page = tmp_path / "performance.md"
    page.write_text(
        "".join(f"<!-- {name}: begin --><!-- {name}: end -->" for name in ("headlines", "tables", "machines"))
    )
    results.write(tmp_path / "performance_cpu_laptop.json")
    monkeypatch.setattr(command.report, "PAGE", page)
    command.main(["page"])
    assert "| a step | GPT-2 | 2.00 |" in page.read_text()
    assert "| a step | GPT-2 | 2.00 | 2.00 |" in page.read_text()  # main, laptop
    assert (tmp_path / "performance_cpu.png").exists()


def test_the_guide_is_written_from_the_file(tmp_path, monkeypatch, results):
    monkeypatch.setattr(
        command, "load_suite", lambda name: SimpleNamespace(make_summary=lambda found: f"{name}: {found[0].work}")
    )
    monkeypatch.setattr(command.report, "PAGE", tmp_path / "performance.md")
    monkeypatch.setattr(command.report, "GUIDE", tmp_path / "export.md")
    monkeypatch.setattr(command.report, "update_page", lambda *arguments: None)
    monkeypatch.setattr(command.report, "draw", lambda *arguments: None)
    (tmp_path / "export.md").write_text("<!-- exporting: begin --><!-- exporting: end -->")
    suites = {**results.suites, "exporting": [Value(work="fill", value=1.0, unit="s")]}
    laptop = replace(results.machine, device="a laptop")
    results.write(tmp_path / "performance_cpu.json")
    command.main(["page"])
    assert (tmp_path / "export.md").read_text() == "<!-- exporting: begin --><!-- exporting: end -->"
    replace(results, machine=laptop, suites=suites).write(tmp_path / "performance_cpu_laptop.json")
    command.main(["page"])
    assert f"exporting: fill\n\nMeasured on: {laptop.describe_parts()}." in (tmp_path / "export.md").read_text()
    replace(results, suites=suites).write(tmp_path / "performance_cpu.json")
    command.main(["page"])
    assert f"Measured on: {results.machine.describe_parts()}." in (tmp_path / "export.md").read_text()


def test_the_guide_of_the_repository_has_the_figures_of_the_files():
    shown = command.show_exporting(command.read_machines().values()) or "Not measured on this machine yet."
    assert f"<!-- exporting: begin -->\n\n{shown}\n\n<!-- exporting: end -->" in command.report.GUIDE.read_text()


@pytest.mark.slow  # starts a process that imports torch and measures the machine
def test_command_runs_in_a_fresh_process(tmp_path):
    arguments = ["run", "--quick", "--only", "scoring", "--output", str(tmp_path), "--threads", "1"]
    completed = subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments], cwd=ROOT, capture_output=True, text=True
    )
    assert completed.returncode == 0, completed.stderr[-2000:]
    found = Results.read(tmp_path / "performance_cpu.json")
    assert list(found.suites) == ["scoring"]
    assert found.machine.peaks.keys() == {"Tiny float32", "Tiny bfloat16"}

"""The command of the study."""

import json

import pytest
import torch

from benchmarks.studies.scaling import __main__ as study
from benchmarks.studies.scaling.workers import ProcessPlan


@pytest.fixture
def asked(monkeypatch) -> list[ProcessPlan]:
    """What would be measured."""
    plans = []

    def measure(plan: ProcessPlan) -> dict:
        plans.append(plan)
        return {"load": 0.5}

    monkeypatch.setattr(study, "measure_processes", measure)
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)  # for the tests that follow
    monkeypatch.setattr(study, "all_tables", lambda measured: {"bytes": f"runs {', '.join(measured['runs'])}"})
    return plans


def test_what_is_missing_is_measured(asked, tmp_path, capsys):
    output, page = tmp_path / "runs" / "scaling.json", tmp_path / "page.md"
    page.write_text("<!-- bytes: begin --><!-- bytes: end -->")
    arguments = ["--shape", "Tiny", "--rounds", "2", "--output", str(output)]
    study.main([*arguments, "--processes", "1", "2"])
    assert [(plan.processes, plan.strategies) for plan in asked] == [
        (1, ("DDP",)),
        (2, ("DDP", "ZeRO 1", "ZeRO 2", "FSDP 2")),
    ]
    assert capsys.readouterr().out == "bytes:\n\nruns 1, 2\n\n"

    study.main([*arguments, "--write", str(page)])
    assert [plan.processes for plan in asked] == [1, 2, 4]
    assert "runs 1, 2, 4" in page.read_text()
    found = json.loads(output.read_text())
    assert list(found["runs"]) == ["1", "2", "4"]
    assert found["plan"] == {"shape": "Tiny", "rows": 4, "length": 64, "rounds": 2, "threads": 1}


def test_tables_measure_nothing(asked, tmp_path, capsys):
    output = tmp_path / "scaling.json"
    output.write_text(json.dumps({"machine": "another", "plan": {}, "runs": {"2": {}}}))
    study.main(["--tables", "--output", str(output)])
    assert asked == []
    assert "runs 2" in capsys.readouterr().out


def test_results_of_other_work_are_kept_apart(asked, tmp_path):
    output = tmp_path / "scaling.json"
    study.main(["--shape", "Tiny", "--processes", "1", "--output", str(output)])
    with pytest.raises(SystemExit, match=r"has \{'shape': 'Tiny', .* Choose another --output"):
        study.main(["--shape", "Base", "--output", str(output)])


def test_rows_must_be_divisible(capsys):
    with pytest.raises(SystemExit):
        study.main(["--processes", "1", "3"])
    assert "--rows 4 must be a multiple of each of --processes" in capsys.readouterr().err

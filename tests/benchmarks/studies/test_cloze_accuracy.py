"""The study of cloze accuracy."""

import json

import pytest

from benchmarks.harness.report import read_block
from benchmarks.studies import cloze_accuracy


@pytest.fixture
def finished(tmp_path):
    """Results of two seeds, as the script leaves them."""
    for seed, accuracy in ((0, 0.6), (1, 0.7)):
        folder = tmp_path / "facts" / "32" / str(seed)
        folder.mkdir(parents=True)
        cloze = {"accuracy": accuracy, "ece": 0.3, "ece_calibrated": 0.1 * (seed + 1)}
        (folder / "results.json").write_text(json.dumps({"cloze": cloze, "majority": {"accuracy": 0.25}}))
    return tmp_path


def test_table_of_finished_runs(finished, capsys, monkeypatch):
    monkeypatch.setattr(cloze_accuracy.subprocess, "run", lambda *args, **kwargs: pytest.fail("nothing is to run"))
    page = finished / "page.md"
    names = ("accuracy", "calibration", "machine")
    page.write_text("".join(f"<!-- {name}: begin -->\n<!-- {name}: end -->\n" for name in names))
    arguments = ["--tasks", "facts", "--shots", "32", "--seeds", "0", "1", "--output_dir", str(finished)]
    cloze_accuracy.main([*arguments, "--write", str(page)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == cloze_accuracy.describe_this_machine()
    assert lines[2] == "| task | examples | cloze | majority |"
    assert lines[4] == "| facts | 32 | 65.0 ± 7.1 | 25.0 |"
    assert lines[-1] == "| facts | 32 | cloze | 0.300 ± 0.000 | 0.150 ± 0.071 |"
    assert read_block(page, "accuracy").splitlines() == lines[2:5]
    assert read_block(page, "calibration").splitlines() == lines[-3:]
    assert lines[0].endswith(read_block(page, "machine").removeprefix("Measured on: "))


def test_missing_run_calls_the_script(finished, monkeypatch):
    commands = []

    def run(command, **kwargs):
        commands.append(command[1:])
        (finished / "facts" / "all" / "0").mkdir(parents=True)
        (finished / "facts" / "all" / "0" / "results.json").write_text('{"cloze": {"accuracy": 1.0}}')

    monkeypatch.setattr(cloze_accuracy.subprocess, "run", run)
    setting = cloze_accuracy.ClozeSetting("facts", "all")
    found = cloze_accuracy.run_script(setting, 0, finished / "facts" / "all" / "0")
    assert found == {"cloze": {"accuracy": 1.0}}
    assert cloze_accuracy.SCRIPT.is_file()
    assert commands == [
        [str(cloze_accuracy.SCRIPT), "--task", "facts", "--seed", "0", "--output_dir"]
        + [str(finished / "facts" / "all" / "0"), "--disable_tqdm", "true"]
    ]

"""The command: python -m examples.paper."""

import json
import subprocess

import pytest

from examples.paper.__main__ import main, read_settings
from tests.support.paper_runs import start_here, write_data, write_weights


def test_tables_are_listed(capsys):
    assert main([]) == 0
    printed = capsys.readouterr().out
    assert (
        "lambada: LAMBADA, accuracy of the last word, without training (section 3.3, zero-shot language modelling)"
        in printed
    )
    assert "data: the file wiki.test.tokens" in printed
    assert "| rte | accuracy | 2.5 | 71.2 | 74.0 | 76.2 | 79.4 | 79.1 | 87.7 | 93.1 |" in printed


def test_one_command_runs_a_table(tokenizer, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        subprocess, "run", lambda command, check: subprocess.CompletedProcess(command, start_here(command))
    )
    weights, data = write_weights(tmp_path / "weights", tokenizer), write_data("lambada", tmp_path / "data")
    words = ["lambada", "--model", "own", "--weights", weights, "--data", data, "--output", tmp_path / "out"]
    assert main([*map(str, words), "--rows", "unidirectional", "--set", "max_length=50"]) == 0
    assert "| own | unidirectional | accuracy |" in capsys.readouterr().out
    (row,) = json.loads((tmp_path / "out" / "report.json").read_text())["rows"]
    assert (row["settings"]["max_length"], row["changed"]) == (50, ["max_length"])
    # A row that fails is named, and the status says so.
    assert main([*map(str, words), "--rows", "bidirectional", "--set", "max_length=0"]) == 1
    assert "Rows that failed: 1." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["glue"], "invalid choice: 'glue'"),
        (["lambada", "--model", "glm-10b"], "lambada needs --model and --data"),
        (["lambada", "--model", "own", "--data", "x"], "--model own needs --weights"),
    ],
)
def test_wrong_command_lines(words, message, capsys):
    with pytest.raises(SystemExit):
        main(words)
    assert message in capsys.readouterr().err


def test_settings():
    assert read_settings(["max_steps=3", "bf16=true", "task=rte", "pattern_ids=[0, 1]", "lr=1.0e-5"]) == {
        "max_steps": 3,
        "bf16": True,
        "task": "rte",
        "pattern_ids": [0, 1],
        "lr": 1e-5,
    }
    for wrong in ("max_steps", "--x=1", "=3"):
        with pytest.raises(ValueError, match=f"--set {wrong}: expected NAME=VALUE"):
            read_settings([wrong])

"""modeling-glm demo: it prints what the commands print that it shows."""

import shlex
from pathlib import Path

from tests.support.paths import ROOT

TINY = "examples/glm-tiny"


def test_each_command_prints_what_stands_below_it(run):
    """Line by line, with all probabilities."""
    result = run("demo")
    assert result.returncode == 0, result.stderr
    _, *sections = result.stdout.split("$ modeling-glm ")
    assert [section.split()[0] for section in sections] == ["fill", "fill", "choose", "generate"]
    for section in sections:
        command, printed = section.split("\n", 1)
        told = run(*shlex.split(command), "--format", "text")
        assert told.returncode == 0, told.stderr
        assert told.stdout.rstrip() == printed.rstrip()
        assert "%" in printed


def test_demo_tries_what_is_typed(run, monkeypatch):
    monkeypatch.setattr("modeling_glm.cli.demo.is_terminal", lambda: True)
    typed = iter(["The number 12 is [MASK].", "[MASK]" * 300, ""])
    monkeypatch.setattr("rich.console.Console.input", lambda *_, **__: next(typed))
    result = run("demo", TINY)
    assert result.returncode == 0, result.stderr
    assert "The number 12 is " in result.stdout
    assert "302 tokens, but the position table holds 257" in result.stdout


def test_demo_names_a_folder_that_exists_wherever_it_runs(run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    result = run("demo")
    assert result.returncode == 0, result.stderr
    command = shlex.split(result.stdout.splitlines()[0])
    assert command[:3] == ["$", "modeling-glm", "fill"]
    assert Path(command[3]) == (ROOT / TINY).resolve()


def test_demo_without_the_checkpoint_says_what_to_do(run, monkeypatch, tmp_path):
    monkeypatch.setattr("modeling_glm.checkpoints.embedded._PLACES", (tmp_path / "nothing",))
    result = run("demo")
    assert result.returncode == 1
    assert "name another GLM" in result.stderr

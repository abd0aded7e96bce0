"""Every example runs, with small settings."""

import shutil

import pytest

from tests.support.paths import EXAMPLES
from tests.support.scripts import run_script


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("[0-9]*.py")))
def test_help_explains(name, capsys):
    with pytest.raises(SystemExit) as stop:
        run_script(name, "--help")
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert f"python examples/{name}" in printed  # the description of the script, with a command
    assert "--output_dir" in printed


def test_quickstart(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run_script("01_quickstart.py", "--blanks", "40", "--steps", "3", "--output_dir", tmp_path / "tuned")
    printed = capsys.readouterr().out
    for expected in ("(a)", "(b)", "(c)", "(d)", "back-off n-gram", "same answers"):
        assert expected in printed
    assert {"model.safetensors", "tokenizer.json", "loss.png"} <= {p.name for p in (tmp_path / "tuned").iterdir()}
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_quickstart_on_another_model(tmp_path, monkeypatch, capsys):
    shutil.copytree(EXAMPLES / "glm-tiny", tmp_path / "copy")
    monkeypatch.chdir(tmp_path)
    run_script("01_quickstart.py", "--model", tmp_path / "copy")
    printed = capsys.readouterr().out
    assert "(c)" in printed
    assert "(d)" not in printed

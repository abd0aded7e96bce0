"""Every example runs, with small settings."""

import re
import shutil

import pytest
from transformers import pipeline

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


def test_an_output_folder_that_is_a_file(tmp_path):
    """The other scripts have tests of their own."""
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit, match=r"^error: --output_dir .*file is a file, expected a folder"):
        run_script("01_quickstart.py", "--output_dir", tmp_path / "file")


def test_quickstart(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    target = tmp_path / "tuned"
    run_script("01_quickstart.py", "--blanks", "4", "--steps", "3", "--output_dir", target)
    printed, progress = capsys.readouterr()
    for expected in ("(a)", "(b)", "(c)", "(d)", "n-gram", "same answers"):
        assert expected in printed
    for family in ("facts", "kind of, from its definition", "austen"):
        assert re.search(rf"^  {family} +4( +\d+%){{3}}$", printed, re.MULTILINE)
    assert "The opposite of <hot> is cold." in printed
    assert not re.search(r"'loss'|it/s", printed + progress)  # one bar, and no log
    assert {"model.safetensors", "tokenizer.json", "loss.png"} <= {path.name for path in target.iterdir()}
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    # The task is saved with the model.
    classifier = pipeline("cloze-classification", model=str(target))
    assert {entry["label"] for entry in classifier({"first": 12, "second": 30}, top_k=None)} == {"larger", "smaller"}


def test_quickstart_on_another_model(tmp_path, monkeypatch, capsys):
    shutil.copytree(EXAMPLES / "glm-tiny", tmp_path / "copy")
    monkeypatch.chdir(tmp_path)
    run_script("01_quickstart.py", "--model", tmp_path / "copy")
    printed = capsys.readouterr().out
    assert "Ice is [MASK]." in printed
    assert "(c)" in printed
    assert "(d)" not in printed

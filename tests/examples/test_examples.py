"""Every example runs, with small settings."""

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from transformers import pipeline

from tests.support.paths import EXAMPLES, ROOT
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


# Runs a script without some modules: BLOCKED SCRIPT ARGUMENTS.
WITHOUT = """
import os, runpy, sys

class Without:
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in blocked else self.finder.find_spec(name, path, target)

blocked = sys.argv[1].split(",")
sys.meta_path[:] = map(Without, sys.meta_path)
sys.argv = sys.argv[2:]
sys.path.insert(0, os.path.dirname(sys.argv[0]))
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def needed_by(extra: str) -> set[str]:
    """Return the packages that this package needs with an extra, and all that they need."""
    found: set[str] = set()
    left = [Requirement(f"modeling-glm[{extra}]")]
    while left:
        package = left.pop()
        for wanted in package.extras or {""}:
            if (name := f"{canonicalize_name(package.name)}[{wanted}]") in found:
                continue
            found.add(name)
            try:
                needed = map(Requirement, requires(package.name) or [])
            except PackageNotFoundError:
                continue
            left += [one for one in needed if one.marker is None or one.marker.evaluate({"extra": wanted})]
    return {name.partition("[")[0] for name in found}


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> tuple[subprocess.CompletedProcess, Path]:
    """A short run of the quickstart, as `make demo` calls it on a new machine, which has fewer packages, and its folder."""
    absent = needed_by("test") - needed_by("demo")
    assert {"scikit-learn", "gradio", "datasets", "peft"} <= absent
    distributions = packages_distributions().items()
    blocked = [module for module, names in distributions if all(canonicalize_name(name) in absent for name in names)]
    assert "sklearn" in blocked
    assert "outlines_core" not in blocked
    folder = tmp_path_factory.mktemp("demo")
    script = [EXAMPLES / "01_quickstart.py", "--blanks", "4", "--steps", "3", "--output_dir", folder / "tuned"]
    command = [sys.executable, "-c", WITHOUT, ",".join(blocked), *map(str, script)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True), folder


def test_what_make_demo_installs_is_enough_for_the_quickstart(demo):
    ran, folder = demo
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert (folder / "tuned" / "model.safetensors").exists()


def test_quickstart(demo):
    ran, folder = demo
    for expected in ("(a)", "(b)", "(c)", "(d)", "n-gram", "same answers"):
        assert expected in ran.stdout
    for family in ("facts", "kind of, from its definition", "austen"):
        assert re.search(rf"^  {family} +4( +\d+%){{3}}$", ran.stdout, re.MULTILINE)
    assert "The opposite of <hot> is cold." in ran.stdout
    assert not re.search(r"'loss'|it/s", ran.stdout + ran.stderr)  # one bar, and no log
    target = folder / "tuned"
    assert {"model.safetensors", "tokenizer.json", "loss.png"} <= {path.name for path in target.iterdir()}
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]
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

"""The checkpoint that comes with the package: where it is in a clone and in an installed wheel."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from modeling_glm import GLMConfig, GLMTokenizer, embedded_checkpoint
from modeling_glm.checkpoints import embedded
from modeling_glm.checkpoints.embedded import is_embedded
from tests.support.paths import EXAMPLES


def test_in_a_clone_it_is_among_the_examples():
    folder = embedded_checkpoint()
    assert isinstance(folder, str)  # as `pipeline` wants it
    assert Path(folder) == (EXAMPLES / "glm-tiny").resolve()
    assert GLMConfig.from_pretrained(folder).vocab_size >= len(GLMTokenizer.from_pretrained(folder))


def test_package_data_comes_first(monkeypatch, tmp_path):
    installed, examples = tmp_path / "modeling_glm" / "glm_tiny", tmp_path / "examples" / "glm-tiny"
    monkeypatch.setattr(embedded, "_PLACES", (installed, examples))
    for folder in (examples, installed):  # the second hides the first
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
        assert embedded_checkpoint() == str(folder)


def test_an_installation_without_it_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(embedded, "_PLACES", (tmp_path / "a", tmp_path / "b"))
    with pytest.raises(FileNotFoundError, match=r"a and .*b: install modeling-glm again, or name another GLM"):
        embedded_checkpoint()


def test_it_is_known_by_every_spelling_of_its_path(monkeypatch):
    monkeypatch.chdir(EXAMPLES)
    for name in (embedded_checkpoint(), "glm-tiny", "./glm-tiny/", "../examples/glm-tiny"):
        assert is_embedded(name), name
    for name in ("glm", "THUDM/glm-tiny", ".", ""):
        assert not is_embedded(name), name


def test_two_lines_fill_a_blank_anywhere(tmp_path):
    """As on the page "Getting started", in a process of its own without network and outside the repository."""
    lines = """
import modeling_glm, transformers
print(transformers.pipeline("blank-infilling", modeling_glm.embedded_checkpoint())("It is [MASK].")[0]["text"])
"""
    offline = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "cache")}
    ran = subprocess.run([sys.executable, "-c", lines], cwd=tmp_path, env=offline, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("It is ")

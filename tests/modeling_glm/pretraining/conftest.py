"""Fixtures of the pretraining tests."""

from pathlib import Path

import pytest

from tests.support.pretraining_runs import write_texts


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A working directory with `texts.txt`."""
    monkeypatch.chdir(tmp_path)
    write_texts(tmp_path / "texts.txt")
    return tmp_path

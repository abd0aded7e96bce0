"""Fixtures of the pretraining tests."""

from pathlib import Path

import pytest
import torch

from tests.support.pretraining_runs import write_texts


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A working directory with `texts.txt`."""
    monkeypatch.chdir(tmp_path)
    write_texts(tmp_path / "texts.txt")
    return tmp_path


@pytest.fixture
def one_thread():
    """One thread for torch, so that losses of runs compare bit for bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)

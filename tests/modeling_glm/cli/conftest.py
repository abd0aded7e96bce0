"""The command `modeling-glm` as a fixture, in the repository and without a network."""

import pytest

from tests.support.command import run
from tests.support.paths import ROOT

__all__ = ["run"]


@pytest.fixture(autouse=True)
def _in_the_repository_without_a_network(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)

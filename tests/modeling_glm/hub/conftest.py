"""A hub on loopback for a test file, after the steps that the file lists as `STEPS`."""

from pathlib import Path

import pytest

from tests.support.hub_runs import pushed_hub


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    """The working folder of the steps."""
    return tmp_path_factory.mktemp("hub")


@pytest.fixture(scope="module")
def run(request, work):
    with pushed_hub(work, *request.module.STEPS) as run:
        yield run


@pytest.fixture(scope="module")
def hub(run):
    """The hub after everything was pushed to it."""
    return run[0]


@pytest.fixture(scope="module")
def pushed(run) -> dict:
    """The results of the steps."""
    return run[1]

"""What the stress tests share."""

from collections.abc import Iterator

import pytest

from tests.support.stress import Stress, StressOptions


@pytest.fixture
def stress(request, tmp_path_factory) -> Iterator[Stress]:
    """The cases of this test: see `tests/support/stress.py`."""
    record = tmp_path_factory.getbasetemp() / "stress-case.txt"
    stress = Stress(request.node.nodeid, StressOptions.read(request.config), record)
    yield stress
    stress.report()  # if the test has left its loop early


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    """Add the command that repeats a case which failed outside its `with` block."""
    report = (yield).get_result()
    stress = getattr(item, "funcargs", {}).get("stress")
    if report.failed and stress is not None and stress.record.is_file():
        report.sections.append(("The last case", stress.record.read_text(encoding="utf-8")))

"""The starting suite."""

import pytest

from benchmarks.harness.results import Memory, Speed, Value
from benchmarks.suites import starting


def test_imports_are_timed_one_after_the_other():
    times = starting.time_imports("time.sleep(0.05)", "time.sleep(0.2)", rounds=1)
    assert 0.05 <= times.first < 0.2 <= times.second


@pytest.mark.slow  # four processes that import torch
def test_suite_runs(quick):
    results = starting.run(quick)
    assert [type(result) for result in results] == [Speed, Memory, Value, Value, Value]
    assert results[1].ours > 0.5 * results[1].theirs

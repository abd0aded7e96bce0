"""The starting suite."""

import subprocess

import pytest

from benchmarks.harness.results import Memory, Speed, Value
from benchmarks.harness.shapes import TINY, build_glm
from benchmarks.suites import starting
from modeling_glm import GLMForConditionalGeneration


def test_imports_are_timed_one_after_the_other():
    times = starting.time_imports("time.sleep(0.05)", "time.sleep(0.2)", rounds=1)
    assert 0.05 <= times.first < 0.2 <= times.second


def test_suite_runs(quick, monkeypatch):
    monkeypatch.setattr(starting, "run_alone", lambda function, *arguments: function(*arguments))
    monkeypatch.setattr(starting, "time_imports", lambda *arguments: starting.ImportTimes(4.0, 0.1))
    ran = []
    monkeypatch.setattr(starting, "run_python", lambda *arguments: ran.append(arguments))
    results = starting.run(quick)
    assert [type(result) for result in results] == [Speed, Memory, Speed, Speed, Value, Value, Value]
    parameters = build_glm(GLMForConditionalGeneration, TINY).num_parameters()
    assert results[1].theirs == 4 * parameters
    assert [result.value for result in results[4:]] == [0.1, 4.0, 0.1]
    # Once to warm up, and once in the only round.
    assert ran == 2 * [("-c", starting.BARE), *starting.COMMANDS.values()]


def test_a_process_that_fails_is_an_error():
    starting.run_python("-c", "pass")
    with pytest.raises(subprocess.CalledProcessError):
        starting.run_python("-c", "raise SystemExit(3)")

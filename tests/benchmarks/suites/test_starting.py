"""The starting suite."""

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
    results = starting.run(quick)
    assert [type(result) for result in results] == [Speed, Memory, Value, Value, Value]
    parameters = build_glm(GLMForConditionalGeneration, TINY).num_parameters()
    assert results[1].theirs == 4 * parameters
    assert [result.value for result in results[2:]] == [0.1, 4.0, 0.1]

"""The estimate of CPU time."""

import pytest

from benchmarks.studies.real_tasks import estimate
from benchmarks.studies.real_tasks.cells import Row, TaskStudy


@pytest.fixture
def study(model, tasks, tmp_path, short) -> TaskStudy:
    return TaskStudy(model, tmp_path, load=tasks.__getitem__)


def test_estimate_adds_training_scoring_and_the_search(study, tasks, monkeypatch):
    monkeypatch.setattr(estimate, "measure_speed", lambda *args: estimate.PerExample(1000.0, {16: 1.0, 32: 1.0}))
    few, head = Row("trec", "32", "svm"), Row("trec", "32", "head")
    data = tasks["trec"]
    # 32 examples to train on once, 32 for validation, 9 to report on, in two runs; the search has no test.
    expected = 2 * (32 + 1000 * (9 + 32)) + estimate.TRIED_RATES * (32 + 1000 * 32)
    found = estimate.estimate_rows(study, [few, head], [0, 1])
    assert found == {few: pytest.approx(expected), head: pytest.approx(expected)}
    every = Row("trec", "all", "majority")
    assert estimate.estimate_rows(study, [every], [0, 1]) == {
        every: len(data.train) + 1000.0 * (9 + len(data.validation))
    }


def test_what_has_run_costs_nothing(study, monkeypatch):
    row = Row("trec", "32", "majority")
    study.run(row, 0)
    monkeypatch.setattr(estimate, "measure_speed", lambda *args: pytest.fail("nothing is to be timed"))
    assert estimate.estimate_rows(study, [row], [0, 1]) == {}


@pytest.mark.parametrize("method", ["cloze", "head", "svm"])
def test_speed_is_measured(study, method):
    found = estimate.measure_speed(study, "sms_spam", method, [4, 8])
    assert list(found.training) == [4, 8]
    assert all(0 < seconds < 1 for seconds in (found.scoring, *found.training.values()))

"""The evaluation suite."""

import pytest

from benchmarks.harness.naive_glm import NaiveGLM
from benchmarks.harness.results import Speed
from benchmarks.harness.shapes import Shape, build_glm
from benchmarks.suites import evaluation
from modeling_glm import GLMForConditionalGeneration


def test_all_ways_give_the_same_number(monkeypatch):
    monkeypatch.setattr(evaluation, "WINDOW", 12)
    monkeypatch.setattr(evaluation, "STRIDE", 4)
    model = build_glm(GLMForConditionalGeneration, Shape("Small", 64, 2, 512, positions=32))
    rows = evaluation.lay_out(model, [30, 9])
    assert len(rows) == 6 + 1
    expected = evaluation.score_one_by_one(model, rows)
    assert evaluation.score_together(model, rows) == pytest.approx(expected, rel=1e-5)
    assert evaluation.score_naively(NaiveGLM(model).eval(), rows) == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow  # models of three million parameters
def test_suite_runs(quick):
    results = evaluation.run(quick)
    assert {type(result) for result in results} == {Speed}
    assert all(0 < result.low == result.ratio == result.high == result.theirs / result.ours for result in results)
    assert [result.peer for result in results] == ["one window at a time", "naive GLM, one window at a time"]

"""The exporting suite."""

import pytest

from benchmarks.harness.results import Memory, Quality, Speed
from benchmarks.suites import exporting

pytest.importorskip("transformers.exporters")


@pytest.mark.slow  # exports four models, and fills with eight
def test_suite_runs(quick, monkeypatch):
    monkeypatch.setattr(exporting, "run_alone", lambda function, *arguments: function(*arguments))
    results = exporting.run(quick)
    pairs = len(exporting.PAIRS)
    assert [type(result) for result in results] == [Speed] * (5 * pairs) + [Memory] * pairs + [Quality] * 3
    same, *rounded = results[-3:]
    assert same.loss == pytest.approx(same.peer_loss, abs=1e-4)
    assert same.exact == same.peer_exact
    for result in rounded:
        assert result.loss == pytest.approx(result.peer_loss, abs=0.2)

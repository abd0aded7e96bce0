"""Reports: plain values that can be written as JSON, with versions and what was measured."""

import hashlib
import json
import math

import pytest

from modeling_glm import GLMForConditionalGeneration
from modeling_glm.evaluation.perplexity import Perplexity
from modeling_glm.evaluation.report import build_report, find_versions, wilson_interval
from tests.support.models import make_model

COUNTS = dict.fromkeys(("num_scored", "num_tokens", "num_words", "num_bytes", "num_windows", "num_documents"), 2)


def test_a_report_has_measures_settings_and_versions(tmp_path):
    file = tmp_path / "texts.txt"
    file.write_bytes(b"a b\n")
    measured = Perplexity(log_prob=-4000.0, num_unscored_documents=0, num_original_words=2, **COUNTS)
    assert measured.perplexity == math.inf
    model = make_model(GLMForConditionalGeneration)
    report = build_report(
        "perplexity",
        measured,
        model=model,
        model_name="tiny",
        file=file,
        settings={"window": 8},
        seconds=1.26,
    )
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert report["metrics"]["perplexity"] is None
    assert report["metrics"]["loss"] == 2000.0
    assert report["counts"] == measured.counts()
    assert report["model"] == {
        "name": "tiny",
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "dtype": "float32",
        "device": "cpu",
    }
    assert report["file"] == {"name": str(file), "sha256": hashlib.sha256(b"a b\n").hexdigest()}
    assert report["settings"] == {"window": 8}
    assert report["seconds"] == 1.3


def test_versions_of_missing_packages_are_left_out(monkeypatch):
    monkeypatch.setattr("modeling_glm.evaluation.report.PACKAGES", ("torch", "no-such-package"))
    assert set(find_versions()) == {"torch"}


@pytest.mark.parametrize(("right", "total"), [(0, 1), (1, 1), (3, 7), (700, 1954), (1954, 1954)])
def test_intervals_are_those_of_scipy(right, total):
    stats = pytest.importorskip("scipy.stats")
    expected = stats.binomtest(right, total).proportion_ci(method="wilson")
    assert wilson_interval(right, total) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_another_width():
    low, high = wilson_interval(50, 100, deviations=1.0)
    assert (low, high) == pytest.approx((0.5 - 0.0497, 0.5 + 0.0497), abs=1e-3)

"""Reliability and selective accuracy: by hand, against brute force, and on drawn labels."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from modeling_glm.cloze.answers.reliability import (
    expected_calibration_error,
    find_threshold,
    measure_reliability,
    selective_accuracy,
)
from tests.support.drawn_classes import draw_classes

PROBABILITIES = np.array([[0.95, 0.05], [0.1, 0.9], [0.65, 0.35], [0.3, 0.7], [0.6, 0.4], [0.4, 0.6]])
LABELS = [0, 0, 0, 1, 1, 1]


def test_bins_by_hand():
    found = measure_reliability(PROBABILITIES, LABELS, bins=5)
    # (0.4, 0.6] has 0.6 twice, one right; (0.6, 0.8] has 0.65 and 0.7, both right; (0.8, 1] has 0.95 and 0.9, one right.
    assert found.numbers.tolist() == [2, 3, 4]
    assert found.counts.tolist() == [2, 2, 2]
    np.testing.assert_allclose(found.confidence, [0.6, 0.675, 0.925])
    np.testing.assert_allclose(found.accuracy, [0.5, 1, 0.5])
    assert found.error == expected_calibration_error(PROBABILITIES, LABELS, bins=5)
    assert found.error == pytest.approx((0.1 + 0.325 + 0.425) / 3)


def test_calibration_error_by_hand():
    probabilities = np.array([[0.95, 0.05], [0.1, 0.9], [0.65, 0.35], [0.3, 0.7], [0.6, 0.4]])
    labels = [0, 0, 0, 1, 1]
    # Of five bins, the last (0.8, 1.0] has the confidences 0.95 and 0.9 with one of two right: |0.5 - 0.925|. The one
    # before, (0.6, 0.8], has 0.65 and 0.7, both right: |1 - 0.675|. (0.4, 0.6] has 0.6, wrong: |0 - 0.6|.
    expected = (2 * 0.425 + 2 * 0.325 + 1 * 0.6) / 5
    assert expected_calibration_error(probabilities, labels, bins=5) == pytest.approx(expected)
    # In one bin, confidence 0.76 on average and 3 of 5 right.
    assert expected_calibration_error(torch.tensor(probabilities), labels, bins=1) == pytest.approx(0.16)
    assert expected_calibration_error(np.eye(3), [0, 1, 2]) == 0.0
    assert expected_calibration_error(np.eye(3), [1, 2, 0]) == 1.0


def test_curve_by_hand():
    curve = selective_accuracy(PROBABILITIES, LABELS)
    np.testing.assert_allclose(curve.thresholds, [0.95, 0.9, 0.7, 0.65, 0.6])
    np.testing.assert_allclose(curve.answered, np.array([1, 2, 3, 4, 6]) / 6)  # the two with 0.6 go together
    np.testing.assert_allclose(curve.accuracy, [1, 1 / 2, 2 / 3, 3 / 4, 4 / 6])


def test_threshold_by_hand():
    found = find_threshold(PROBABILITIES, LABELS, 0.7)
    assert found.value == pytest.approx((0.65 + 0.6) / 2)
    assert (found.accuracy, found.answered) == (pytest.approx(3 / 4), pytest.approx(4 / 6))
    assert find_threshold(PROBABILITIES, LABELS, 0.6).value == 0  # all may be answered
    assert find_threshold(PROBABILITIES, LABELS, 1.0).value == pytest.approx((0.95 + 0.9) / 2)
    with pytest.raises(ValueError, match=r"accuracy=0.9: no threshold reaches it. The best is 0.5, if 100.0% of the"):
        find_threshold([[0.9, 0.1], [0.2, 0.8]], [1, 1], 0.9)
    with pytest.raises(ValueError, match=r"accuracy=1\.2: expected a number from 0 to 1"):
        find_threshold(PROBABILITIES, LABELS, 1.2)


@given(seed=st.integers(0, 2**32), examples=st.integers(1, 40), digits=st.integers(1, 3))
def test_curve_and_threshold_against_brute_force(seed, examples, digits):
    generator = np.random.default_rng(seed)
    first = generator.random(examples).round(digits)  # ties
    probabilities, labels = np.stack([first, 1 - first], axis=1), generator.integers(0, 2, examples)
    curve = selective_accuracy(probabilities, labels)
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    assert curve.thresholds.tolist() == sorted(set(confidence.tolist()), reverse=True)
    for threshold, answered, accuracy in zip(curve.thresholds, curve.answered, curve.accuracy, strict=True):
        assert answered == pytest.approx((confidence >= threshold).mean())
        assert accuracy == pytest.approx(right[confidence >= threshold].mean())
    asked = float(curve.accuracy[generator.integers(len(curve.accuracy))])
    found = find_threshold(probabilities, labels, asked)
    assert found.accuracy == pytest.approx(right[confidence >= found.value].mean())
    reached = [t for t in curve.thresholds if right[confidence >= t].mean() >= asked - 1e-12]
    assert found.answered == pytest.approx((confidence >= min(reached)).mean())


def test_curve_rises_where_confidence_tells_right_from_wrong():
    """The fewer examples are answered, the more answers are right: on 4,000 drawn labels for every tenth of the examples."""
    scores, labels = draw_classes(4000, temperature=1.0, seed=0)
    probabilities = np.exp(scores - np.logaddexp.reduce(scores, axis=1, keepdims=True))
    curve = selective_accuracy(probabilities, labels)
    by_share = [curve.accuracy[np.searchsorted(curve.answered, share)] for share in np.arange(0.1, 1.01, 0.1)]
    assert by_share == sorted(by_share, reverse=True)
    assert by_share[0] > by_share[-1] + 0.2
    # Labels that have nothing to do with the confidence give a flat curve, within five standard errors.
    shuffled = np.random.default_rng(1).permutation(labels)
    flat = selective_accuracy(probabilities, shuffled)
    half = flat.accuracy[np.searchsorted(flat.answered, 0.5)]
    assert abs(half - flat.accuracy[-1]) < 5 * 0.5 / np.sqrt(2000)


def test_a_threshold_holds_on_other_examples():
    scores, labels = draw_classes(8000, temperature=1.0, seed=3)
    probabilities = np.exp(scores - np.logaddexp.reduce(scores, axis=1, keepdims=True))
    found = find_threshold(probabilities[:4000], labels[:4000], 0.9)
    answered = probabilities[4000:].max(1) >= found.value
    right = (probabilities[4000:].argmax(1) == labels[4000:])[answered]
    assert abs(right.mean() - 0.9) < 5 * np.sqrt(0.9 * 0.1 / len(right))
    assert answered.mean() == pytest.approx(found.answered, abs=0.05)


@pytest.mark.parametrize(
    ("probabilities", "bins", "message"),
    [
        ([[0.5, 0.5]], 0, "bins=0"),
        ([[-1.0, -2.0]], 15, "do not sum to 1"),
        ([[0.5, 0.4]], 15, "do not sum to 1"),
        ([[-0.5, 1.5]], 15, "negative"),
        ([], 15, "probabilities has shape"),
    ],
)
def test_errors_of_probabilities(probabilities, bins, message):
    with pytest.raises(ValueError, match=message):
        expected_calibration_error(probabilities, [0], bins=bins)

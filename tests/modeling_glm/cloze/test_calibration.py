"""Temperature and biases: against values worked by hand and against brute force."""

import json
import warnings

import numpy as np
import pytest

from modeling_glm import Calibration, expected_calibration_error
from modeling_glm.cloze.calibration import contextual_bias, fit_temperature
from tests.support.drawn_classes import draw_classes


def softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def overconfident(temperature: float) -> tuple[np.ndarray, np.ndarray]:
    return draw_classes(4000, temperature=temperature, seed=0)


def loss(scores: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    return -np.log(softmax(scores / temperature)[np.arange(len(labels)), labels]).mean()


@pytest.mark.parametrize("known", [0.5, 1.0, 3.0])
def test_temperature_is_found_again(known):
    scores, labels = overconfident(known)
    found = fit_temperature(scores, labels)
    assert found == pytest.approx(known, rel=0.05)
    # Nothing near it is better, so it is the minimum: the loss is convex in 1 / T.
    best = loss(scores, labels, found)
    assert best < min(loss(scores, labels, found * factor) for factor in (0.7, 0.99, 1.01, 1.4))
    assert found == pytest.approx(fit_temperature((scores + 7.0).astype(np.float32), labels.tolist()), rel=1e-4)


def test_temperature_calibrates():
    scores, labels = overconfident(3.0)
    validation, test = slice(0, 2000), slice(2000, None)
    temperature = fit_temperature(scores[validation], labels[validation])
    before = expected_calibration_error(softmax(scores[test]), labels[test])
    after = expected_calibration_error(softmax(scores[test] / temperature), labels[test])
    assert before > 0.15
    assert after < 0.04


def test_temperature_at_its_bounds():
    with pytest.warns(UserWarning, match="all examples are right"):
        assert fit_temperature([[2.0, 1.0], [-1.0, 0.0]], [0, 1]) == 0.01
    with pytest.warns(UserWarning, match="no better than chance"):
        assert fit_temperature([[2.0, 1.0], [-1.0, 0.0]], [1, 0]) == 100
    with warnings.catch_warnings(action="error"):
        assert fit_temperature([[2.0, 2.0], [-np.inf, 0.0]], [0, 1]) == 1.0  # nothing to choose


def test_bias_by_hand():
    # Two texts without content get (0.2, 0.8) and (0.6, 0.4): on average (0.4, 0.6).
    scores = np.log([[0.2, 0.8], [0.6, 0.4]]) + [[3.0], [-1.0]]  # a constant in a row changes nothing
    np.testing.assert_allclose(contextual_bias(scores), -np.log([0.4, 0.6]))


def test_bias_makes_a_text_without_content_uniform():
    scores = np.array([[-1.0, -700.0, -np.inf, 2.0]])  # probabilities of 1e-305 are no trouble
    found = softmax(scores + contextual_bias(scores))
    np.testing.assert_allclose(found, [[1 / 3, 1 / 3, 0, 1 / 3]], rtol=1e-12)


class TestChoicesWithoutATask:
    SCORES = np.log([[0.6, 0.4, 0.5], [0.2, 0.8, 1.0]])
    REFERENCES = np.log([[0.2, 0.8, 1.0], [0.6, 0.4, 1.0]])  # normalized: (0.1, 0.4, 0.5) and (0.3, 0.2, 0.5)

    def test_contextual_by_hand(self):
        found = Calibration("contextual").probabilities(self.SCORES, self.REFERENCES)
        weights = np.array([[0.6, 0.4, 0.5], [0.2, 0.8, 1.0]]) / [0.2, 0.3, 0.5]  # the means of the references
        np.testing.assert_allclose(found, weights / weights.sum(1, keepdims=True))

    def test_pmi_and_temperature_by_hand(self):
        found = Calibration("pmi", domain_premise="x", temperature=2.0).probabilities(self.SCORES, self.REFERENCES[:1])
        weights = np.sqrt(np.array([[3.0, 0.5, 0.5], [1.0, 1.0, 1.0]]))
        np.testing.assert_allclose(found, weights / weights.sum(1, keepdims=True))

    def test_every_row_has_choices_of_its_own(self):
        calibration = Calibration("contextual", temperature=0.7)
        scores = np.where([[True, True, False], [True, True, True]], self.SCORES, -np.inf)
        references = np.stack([self.REFERENCES[::-1] * 2, self.REFERENCES])
        references[0, :, 2] = -np.inf
        found = calibration.probabilities(scores, references)
        first = calibration.probabilities(scores[:1, :2], references[0, :, :2])
        np.testing.assert_allclose(found[0], [*first[0], 0.0])
        np.testing.assert_allclose(found[1:], calibration.probabilities(scores[1:], references[1]))
        np.testing.assert_allclose(found.sum(1), 1)

    def test_without_a_method(self):
        np.testing.assert_allclose(Calibration().probabilities(self.SCORES), softmax(self.SCORES))
        np.testing.assert_array_equal(Calibration().bias(self.SCORES), np.zeros(3))

    def test_errors(self):
        calibration = Calibration("contextual")
        with pytest.raises(ValueError, match="needs references"):
            calibration.probabilities(self.SCORES)
        with pytest.raises(ValueError, match=r"references has shape \(2, 2\), scores \(2, 3\)"):
            calibration.probabilities(self.SCORES, self.REFERENCES[:, :2])
        with pytest.raises(ValueError, match="expected one row, for the domain premise"):
            Calibration("pmi", domain_premise="x").bias(self.REFERENCES)


@pytest.mark.parametrize(
    "calibration",
    [
        Calibration(),
        Calibration("contextual", ["N/A", "…"], temperature=2.5),
        Calibration("contextual", "N/A"),
        Calibration("pmi", domain_premise="The topic is [MASK]."),
    ],
)
def test_calibration_round_trip(calibration):
    assert Calibration.from_dict(json.loads(json.dumps(calibration.to_dict()))) == calibration
    assert isinstance(calibration.content_free, tuple)


def test_no_calibration():
    assert Calibration.from_dict(None) == Calibration.from_dict({}) == Calibration()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "platt"}, "method 'platt': expected 'contextual', 'pmi' or None"),
        ({"method": "contextual", "content_free": ()}, "content_free is empty"),
        ({"method": "pmi"}, "needs a domain_premise"),
        ({"temperature": 0.0}, "temperature=0.0: expected a number from 1.19209e-07 to 8"),
        ({"temperature": float("nan")}, "temperature=nan"),
        ({"premise": "x"}, r"Unknown keys \['premise'\]"),
    ],
)
def test_errors_of_a_calibration(settings, message):
    with pytest.raises(ValueError, match=message):
        Calibration.from_dict(settings)


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([[]], [0], r"scores has shape \(1, 0\)"),
        ([0.5, 0.5], [0, 1], r"scores has shape \(2,\)"),
        ([[0.5, 0.5]], [0, 1], r"labels has shape \(2,\)"),
        ([[0.5, 0.5]], [0.0], "labels .* dtype float64"),
        ([[0.5, 0.5]], [2], r"labels has \[2\]: expected numbers from 0 to 1"),
        ([[0.5, 0.5]], [-1], r"labels has \[-1\]"),
        ([[0.5, np.nan]], [0], "NaN"),
        ([[0.5, np.inf]], [0], "inf"),
        ([[1.0, 2.0], [-np.inf, -np.inf]], [0, 0], "Row 1 of scores has no class at all"),
        ([[1.0, 2.0], [-np.inf, 0.0]], [0, 0], "Label 0 of example 1 is an absent class"),
    ],
)
def test_errors_of_scores(scores, labels, message):
    with pytest.raises(ValueError, match=message):
        fit_temperature(scores, labels)


def test_errors_of_a_bias():
    with pytest.raises(ValueError, match=r"scores has shape \(3,\)"):
        contextual_bias(np.zeros(3))

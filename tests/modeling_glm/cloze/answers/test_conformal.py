"""Prediction sets: by hand, against the definition, and their coverage on held-out examples."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import betabinom

from modeling_glm.cloze.answers.conformal import find_quantile, in_prediction_set, least_examples
from tests.support.drawn_classes import draw_classes


def softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def test_by_hand():
    probabilities = [[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.2, 0.8]]
    # The right labels have the scores 0.1, 0.6, 0.3 and 0.2. The third smallest is 0.3: ceil(5 * 0.6) is 3.
    assert find_quantile(probabilities, [0, 1, 1, 1], 0.6) == pytest.approx(0.3)
    assert find_quantile(probabilities, [0, 1, 1, 1], 0.61) == pytest.approx(0.6)
    assert in_prediction_set([[0.72, 0.28], [0.5, 0.5], [0.69, 0.31], [0.7, 0.3]], 0.3).tolist() == [
        [True, False],
        [False, False],
        [False, False],
        [True, False],
    ]


@pytest.mark.parametrize(("coverage", "examples"), [(0.5, 1), (0.8, 4), (0.9, 9), (0.95, 19), (0.99, 99)])
def test_least_examples(coverage, examples):
    """As it is written: in floats, 0.9 * 10 and its like are now and then more than 9."""
    assert least_examples(coverage) == examples
    right = np.linspace(0.5, 1, examples)
    table = np.stack([right, 1 - right], axis=1)
    assert find_quantile(table, [0] * examples, coverage) == pytest.approx(1 - right.min())
    with pytest.raises(ValueError, match=rf"at least {examples + 1} labelled examples, but there are {examples}:"):
        find_quantile(table, [0] * examples, (examples + 0.5) / (examples + 1.5))


@given(seed=st.integers(0, 2**32), examples=st.integers(10, 60), coverage=st.sampled_from([0.1, 0.3, 0.55, 0.7, 0.9]))
def test_definition(seed, examples, coverage):
    """At least ceil((n + 1) * coverage) of the n examples have their right label in their set, and not one less would do."""
    scores, labels = draw_classes(examples, temperature=1.0, seed=seed)
    probabilities = softmax(scores)
    quantile = find_quantile(probabilities, labels, coverage)
    right = probabilities[np.arange(examples), labels]
    needed = math.ceil(round((examples + 1) * coverage, 6))
    assert in_prediction_set(right, quantile).sum() >= needed
    assert (right > 1 - quantile + 1e-9).sum() < needed
    assert (1 - right == quantile).any()


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("temperature", [1.0, 5.0], ids=["calibrated", "overconfident"])
def test_coverage_of_held_out_examples(coverage, temperature):
    """
    Of 2,000 held-out sets, as many have the right label as asked, whether the probabilities are right or not.

    With n examples to fit, the number is beta-binomial: its bounds are those of 1 in 1,000.
    """
    fitted, held_out = 500, 2000
    place = math.ceil(round((fitted + 1) * coverage, 6))
    number = betabinom(held_out, place, fitted + 1 - place)
    low, high = number.ppf(0.0005), number.ppf(0.9995)
    covered = []
    for seed in range(10):
        scores, labels = draw_classes(fitted + held_out, temperature=temperature, seed=seed)
        probabilities = softmax(scores)
        quantile = find_quantile(probabilities[:fitted], labels[:fitted], coverage)
        sets = in_prediction_set(probabilities[fitted:], quantile)
        covered.append(int(sets[np.arange(held_out), labels[fitted:]].sum()))
    assert low <= min(covered)
    assert max(covered) <= high
    # The bounds of one draw are wide; the mean over ten is within three standard errors of what was asked.
    assert np.mean(covered) / held_out == pytest.approx(
        place / (fitted + 1), abs=3 * number.std() / held_out / 10**0.5
    )


@pytest.mark.parametrize("coverage", [0.0, 1.0, -0.5, 90, float("nan"), "0.9", True])
def test_errors(coverage):
    with pytest.raises(ValueError, match=r"coverage=.*expected a number above 0 and at most 0.999999"):
        find_quantile([[0.5, 0.5]], [0], coverage)

"""Intervals of ratios."""

import math

import numpy as np
import pytest

from benchmarks.studies.ablation.intervals import Estimate, estimate_difference, estimate_ratio


def test_the_margin_worked_by_hand():
    # Ratios 6/4 and 10/4 of two seeds: mean 2, variance 0.5, so the seeds' part is t(0.975, 1) * sqrt(0.5 / 2).
    # Means of the texts 3 and 5, residuals (3 - 2 * 2) / 2 and (5 - 2 * 2) / 2, variance 0.5.
    estimate = estimate_ratio(np.array([[2.0, 4.0], [4.0, 6.0]]), np.array([2.0, 2.0]))
    assert estimate.value == 2
    assert estimate.margin == pytest.approx(math.hypot(12.7062 * 0.5, 1.95996 * 0.5), rel=1e-4)


def test_a_longer_text_counts_more():
    assert estimate_ratio(np.array([[1.0, 9.0]] * 3), np.array([1.0, 4.0])).value == 2


def test_one_seed_has_no_interval():
    estimate = estimate_ratio(np.array([[1.0, 2.0]]), np.array([1.0, 1.0]))
    assert math.isnan(estimate.margin)
    assert estimate.show(1) == "1.5"


def test_what_texts_and_seeds_share_leaves_the_difference():
    shared = np.random.default_rng(0).normal(size=(3, 50))
    estimate = estimate_difference(shared + 0.5, shared, np.ones(50))
    assert estimate.value == pytest.approx(0.5)
    assert estimate.margin < 1e-9


def test_intervals_cover_the_truth():
    """Loss per token of 3 seeds and 40 texts, where seeds, texts and single measurements vary."""
    generator, covered, rounds = np.random.default_rng(1), 0, 400
    for _ in range(rounds):
        tokens = generator.integers(1, 6, 40).astype(float)
        per_token = 4 + generator.normal(0, 0.1, (3, 1)) + generator.normal(0, 0.5, (1, 40))
        estimate = estimate_ratio(tokens * (per_token + generator.normal(0, 0.2, (3, 40))), tokens)
        covered += abs(estimate.value - 4) <= estimate.margin
    assert 0.93 < covered / rounds < 0.999


def test_estimates_are_shown_with_their_margin():
    estimate = Estimate(value=0.1234, margin=0.056)
    assert estimate.show(2) == "0.12 ± 0.06"
    assert estimate.show(3, sign=True) == "+0.123 ± 0.056"

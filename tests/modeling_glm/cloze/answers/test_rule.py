"""What becomes an answer, as a value that JSON can hold."""

import json

import numpy as np
import pytest

from modeling_glm.cloze.answers.rule import AnswerGoals, AnswerRule


@pytest.mark.parametrize(
    "rule",
    [AnswerRule(), AnswerRule(0.7), AnswerRule(coverage=0.9, quantile=0.123456789012345), AnswerRule(1, 0.5, 0)],
)
def test_round_trip(rule):
    assert AnswerRule.from_dict(json.loads(json.dumps(rule.to_dict()))) == rule
    assert None not in rule.to_dict().values()


def test_no_rule():
    assert AnswerRule.from_dict(None) == AnswerRule.from_dict({}) == AnswerRule()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"threshold": 1.5}, "threshold=1.5: expected a number from 0 to 1"),
        ({"threshold": "0.5"}, "threshold='0.5' is of type str"),
        ({"coverage": 0.9}, "coverage=0.9 and quantile=None go together"),
        ({"quantile": float("nan"), "coverage": 0.9}, "quantile=nan"),
        ({"accuracy": 0.9}, r"Unknown keys \['accuracy'\] of an answer rule"),
    ],
)
def test_errors(settings, message):
    with pytest.raises(ValueError, match=message):
        AnswerRule.from_dict(settings)


PROBABILITIES = np.array([[0.9, 0.1, 0], [0.2, 0.5, 0.3], [0.4, 0.35, 0.25], [0.3, 0.3, 0.4]])
LABELS = [0, 2, 0, 1]


def test_what_a_rule_brings_by_hand():
    assert AnswerRule().measure(PROBABILITIES, LABELS) == {}
    # Two are answered, the first of them right.
    assert AnswerRule(0.45).measure(PROBABILITIES, LABELS) == {"answered": 0.5, "answer_accuracy": 0.5}
    assert AnswerRule(0.95).measure(PROBABILITIES, LABELS) == {"answered": 0.0}
    # Labels with at least 0.35: {0}, {1}, {0, 1}, {2}
    rule = AnswerRule(coverage=0.5, quantile=0.65)
    assert rule.measure(PROBABILITIES, LABELS) == {"coverage": 0.5, "set_size": 1.25}
    everything = AnswerRule(coverage=0.5, quantile=1)
    assert everything.measure(PROBABILITIES, LABELS) == {"coverage": 1.0, "set_size": 11 / 4}  # 0 is an absent class
    with pytest.raises(ValueError, match="do not sum to 1"):
        AnswerRule().measure(2 * PROBABILITIES, LABELS)


@pytest.mark.parametrize(
    ("goals", "least"),
    [(AnswerGoals(), 0), (AnswerGoals(accuracy=0.9), 1), (AnswerGoals(0.9, 0.95), 19), (AnswerGoals(coverage=0.5), 1)],
)
def test_goals(goals, least):
    assert goals.least_examples == least


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"accuracy": 1.5}, r"accuracy=1\.5: expected a number from 0 to 1"),
        ({"coverage": 1}, "coverage=1: expected a"),
    ],
)
def test_goals_that_no_rule_reaches(settings, message):
    with pytest.raises(ValueError, match=message):
        AnswerGoals(**settings)

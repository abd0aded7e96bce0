"""What becomes an answer, as a value that JSON can hold."""

import json

import pytest

from modeling_glm.cloze.answers.rule import AnswerRule


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

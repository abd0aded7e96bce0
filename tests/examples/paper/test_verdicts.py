"""Verdicts: within the tolerance, outside of it, and every reason why scores cannot be compared."""

from dataclasses import replace

import pytest

from examples.paper.tables import read_table
from examples.paper.verdicts import compare, count_verdicts

GIGAWORD = read_table("gigaword")
SCORES = {"rouge1": 38.6, "rouge2": 19.7, "rougeL": 36.0}  # those of GLM-Large


def result(**changes):
    return {"row": "test", "model": "glm-large", "scores": SCORES, "size": 1951, "changed": [], **changes}


@pytest.mark.parametrize(
    ("score", "verdict"),
    [
        (38.6, "reproduced"),
        (39.1, "reproduced"),  # exactly the tolerance, which is not exact in binary
        (38.1, "reproduced"),
        (39.1001, "not reproduced"),
        (38.09, "not reproduced"),
        (0.0, "not reproduced"),
    ],
)
def test_tolerance(score, verdict):
    """It counts in both directions."""
    first, second, third = compare(GIGAWORD, result(scores={**SCORES, "rouge1": score}))
    assert (first.measure, first.verdict, first.reason) == ("rouge1", verdict, "")
    assert (first.expected, first.found, first.tolerance) == (38.6, score, 0.5)
    assert first.difference == pytest.approx(score - 38.6)
    assert first.source == "paper, table 3, from memory; ROUGE-1 agrees with notes on the paper"
    assert (second.verdict, third.verdict) == ("reproduced", "reproduced")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model": "own"}, "own is not a model of this table"),
        ({"changed": ["max_steps", "task"]}, "other settings than the table's: max_steps, task"),
        ({"size": 10}, "the data have 10 examples, those of the paper 1,951"),
        ({"scores": {}}, "the run has no such score"),
        ({"scores": dict.fromkeys(SCORES)}, "the run has no such score"),
    ],
    ids=["model", "settings", "size", "score", "not finite"],
)
def test_not_comparable(changes, reason):
    findings = compare(GIGAWORD, result(**changes))
    assert [(one.verdict, one.reason) for one in findings] == [("not comparable", reason)] * 3
    assert count_verdicts(findings) == "0 reproduced, 0 not reproduced, 3 not comparable"


def test_a_row_without_a_figure():
    table = replace(
        GIGAWORD, models={"glm-large": replace(GIGAWORD.models["glm-large"], figures={"test": {"rouge1": 1.0}})}
    )
    first, second, _ = compare(table, result())
    assert first.verdict == "not reproduced"
    assert (second.verdict, second.reason, second.difference) == (
        "not comparable",
        "there is no figure of glm-large",
        None,
    )


def test_a_measure_that_nothing_computes():
    scores = {"bleu": 22.0, "rougeL": 60.0}
    findings = compare(read_table("question_generation"), result(scores=scores, size=3))  # its size is not known
    assert [(one.measure, one.verdict) for one in findings] == [
        ("bleu", "reproduced"),
        ("rougeL", "not reproduced"),
        ("meteor", "not comparable"),
    ]
    assert (findings[2].expected, findings[2].reason) == (25.2, "this package has no METEOR")
    assert count_verdicts(findings) == "1 reproduced, 1 not reproduced, 1 not comparable"


def test_words():
    scores = {"original_adjusted_perplexity": 11.33}
    (finding,) = compare(read_table("wikitext"), result(row="bidirectional", model="glm-10b", scores=scores, size=2))
    assert finding.reason == "the data have 2 words, those of the paper 241,211"

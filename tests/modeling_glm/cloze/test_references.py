"""The questions that a calibration asks in addition, and what their answers correct."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from modeling_glm import Calibration, PatternVerbalizer
from modeling_glm.cloze.references import References, ask_premise

LABELLED = PatternVerbalizer("{text|shorten} It was [MASK].", {"good": "fine", "bad": "poor"})
CHOOSING = PatternVerbalizer("{text} [MASK]", choices="{options}")
CONTEXTUAL = Calibration("contextual", ("N/A", ""))
PREMISE = Calibration("pmi", domain_premise="It is [MASK].")
WITH_FIELD = Calibration("pmi", domain_premise="{text} [MASK].")


@pytest.mark.parametrize(
    ("calibration", "task", "per_example"),
    [
        (Calibration(), LABELLED, False),
        (Calibration(), CHOOSING, False),
        (CONTEXTUAL, LABELLED, False),
        (CONTEXTUAL, CHOOSING, True),
        (PREMISE, LABELLED, False),
        (PREMISE, CHOOSING, True),
        (WITH_FIELD, LABELLED, True),
    ],
)
def test_answers_depend_on_the_example(calibration, task, per_example):
    assert References.of(calibration, task).per_example is per_example


def test_questions():
    example = {"text": "a", "options": ["x", "y"]}
    assert References.of(Calibration(), LABELLED).questions(example) == []
    references = References.of(CONTEXTUAL, CHOOSING)
    assert references.questions(example) == [{**example, "text": "N/A"}, {**example, "text": ""}]
    premise = References.of(PREMISE, LABELLED)
    assert premise.questions(example) == [example]
    assert premise.task.fill(example) == "It is[MASK]."
    assert premise.task.labels == LABELLED.labels


def test_measuring_makes_another_value():
    references = References.of(CONTEXTUAL, LABELLED)
    measured = references.measured(np.log([[0.2, 0.8], [0.6, 0.4]]))
    assert references.bias is None
    np.testing.assert_allclose(measured.bias, -np.log([0.4, 0.6]))
    np.testing.assert_allclose(References.of(PREMISE, LABELLED).measured(np.array([[-2.0, -1.0]])).bias, [2.0, 1.0])
    with pytest.raises(FrozenInstanceError):
        references.bias = measured.bias
    with pytest.raises(ValueError, match="read-only"):
        measured.bias[0] = 0


def test_premise_keeps_the_words_of_every_pattern():
    entries = ["{text} [MASK]", {"pattern": "So [MASK]: {text}", "verbalizer": {"good": "yes", "bad": "no"}}]
    task = PatternVerbalizer(entries, {"good": "fine", "bad": "poor"})
    asked = ask_premise(task, "It is [MASK].")
    assert [asked.choices({}, number) for number in (0, 1)] == [[[" fine"], [" poor"]], [[" yes"], [" no"]]]
    assert asked.fields == set()


@pytest.mark.parametrize(
    ("premise", "message"),
    [
        ("It is.", "has 0 blanks"),
        ("[MASK] is [MASK]", "has 2 blanks"),
    ],
)
def test_premises_that_do_not_fit(premise, message):
    with pytest.raises(ValueError, match=message):
        ask_premise(LABELLED, premise)

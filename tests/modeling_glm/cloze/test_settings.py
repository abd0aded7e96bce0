"""Settings of the cloze pipeline: what replaces what, and which task and calibration follow."""

from dataclasses import FrozenInstanceError

import numpy as np
import pandas as pd
import pytest

from modeling_glm import Calibration, PatternVerbalizer
from modeling_glm.cloze.settings import NOT_GIVEN, ClozeSettings
from tests.support.missing import MISSING

WORDS = {"x": "lazy", "y": "dog"}
TASK = PatternVerbalizer("{text} It was [MASK].", WORDS)


def test_they_are_immutable():
    settings = ClozeSettings.read({"top_k": 2})
    with pytest.raises(FrozenInstanceError):
        settings.top_k = 3
    settings.override({"top_k": 3})
    assert settings.top_k == 2


@pytest.mark.parametrize(
    ("own", "given", "expected"),
    [
        ({"top_k": 2}, {}, {"top_k": 2}),
        ({"top_k": 2}, {"top_k": None}, {"top_k": None}),
        ({"calibration": "contextual"}, {"calibration": None}, {"calibration": None}),
        ({"pattern": "p"}, {"verbalizer": WORDS}, {"pattern": "p", "verbalizer": WORDS}),
        ({"pattern": "p"}, {"hypothesis_template": "t"}, {"hypothesis_template": "t"}),
        ({"verbalizer": WORDS, "pattern": "p"}, {"candidate_labels": "a"}, {"pattern": "p", "candidate_labels": "a"}),
        ({"candidate_labels": "a"}, {"verbalizer": WORDS}, {"verbalizer": WORDS}),
        ({"candidate_labels": "a"}, {"verbalizer": None}, {"candidate_labels": "a"}),
        ({"pattern": "p"}, {"pattern": None}, {}),
        ({"temperature": 2.0}, {"multi_label": False}, {"temperature": 2.0}),
    ],
)
def test_a_call_overrides_the_pipeline(own, given, expected):
    assert ClozeSettings.read(own).override(given) == ClozeSettings.read(expected)


@pytest.mark.parametrize(
    "labels",
    [
        "a, b",
        ("a", "b"),
        np.array(["a", "b"]),
        pd.Series(["a", "b"], index=[1, 0]),
        {"a": 1, "b": 2}.keys(),
        iter(["a", "b"]),
    ],
    ids=lambda labels: type(labels).__name__,
)
def test_forms_of_candidate_labels(labels):
    settings = ClozeSettings.read({"candidate_labels": labels})
    assert settings == settings.override({"top_k": NOT_GIVEN})
    for _ in range(2):
        assert settings.task(None).choices({}) == [[" a"], [" b"]]


@pytest.mark.parametrize("labels", [{"a", "b"}, {"a": 1, "b": 2}, pd.DataFrame({"a": [1], "b": [2]}), 5])
def test_candidate_labels_without_an_order_are_refused(labels):
    with pytest.raises(ValueError, match="candidate_labels"):
        ClozeSettings.read({"candidate_labels": labels})


def test_a_space_in_front_of_a_label_is_literal():
    task = ClozeSettings.read({"candidate_labels": [" a", "b", 3]}).task(None)
    assert task.patterns[0].verbalizer == {"a": (" a",), "b": ("b",), "3": ("3",)}


@pytest.mark.parametrize("missing", MISSING)
def test_missing_candidate_labels(missing):
    with pytest.raises(ValueError, match="Choice 1 of the list candidate_labels is missing"):
        ClozeSettings.read({"candidate_labels": ["a", missing]})


@pytest.mark.parametrize(
    ("settings", "zero_shot", "words", "question"),
    [
        ({}, False, False, False),
        ({"top_k": 2}, False, False, False),
        ({"candidate_labels": "a, b"}, True, True, True),
        ({"candidate_labels": "a, b", "pattern": "{text} [MASK]"}, False, True, True),
        ({"pattern": "{text} [MASK]"}, False, False, True),
        ({"pattern": TASK}, False, True, True),
        ({"hypothesis_template": "{}"}, False, False, True),
        ({"multi_label": True, "verbalizer": WORDS}, False, False, True),
        ({"multi_label": True, "candidate_labels": "a, b"}, True, True, True),
    ],
)
def test_kind_of_question(settings, zero_shot, words, question):
    read = ClozeSettings.read(settings)
    assert (read.zero_shot, read.names_words, read.names_question) == (zero_shot, words, question)


@pytest.mark.parametrize(
    ("settings", "pattern", "verbalizer"),
    [
        ({}, "{text} It was [MASK].", WORDS),
        ({"pattern": "{a} [MASK]", "verbalizer": WORDS}, "{a} [MASK]", WORDS),
        ({"pattern": TASK}, "{text} It was [MASK].", WORDS),
        ({"candidate_labels": "a, b,"}, "{text|shorten} This example is [MASK].", {"a": "a", "b": "b"}),
        ({"candidate_labels": [1, 2], "hypothesis_template": "{{}} {}!"}, "{text|shorten} {{}} [MASK]!", {"1": "1", "2": "2"}),
    ],
)  # fmt: skip
def test_task(settings, pattern, verbalizer):
    assert (
        ClozeSettings.read(settings).task(TASK.to_dict()).to_dict() == PatternVerbalizer(pattern, verbalizer).to_dict()
    )


ASKED = {"multi_label": True, "candidate_labels": "a, b"}
YES_NO = {"true": "True", "false": "False"}
ABOUT = PatternVerbalizer("{text} About {candidate}? [MASK]", WORDS)


@pytest.mark.parametrize(
    ("settings", "pattern", "verbalizer"),
    [
        ({}, "{text|shorten} This example is {candidate}. True or false? [MASK].", YES_NO),
        ({"hypothesis_template": "{{}} {}!"}, "{text|shorten} {{}} {candidate}! True or false? [MASK].", YES_NO),
        ({"verbalizer": WORDS}, "{text|shorten} This example is {candidate}. True or false? [MASK].", WORDS),
        ({"pattern": "{candidate}: [MASK]"}, "{candidate}: [MASK]", YES_NO),
        ({"pattern": "{candidate}: [MASK]", "verbalizer": WORDS}, "{candidate}: [MASK]", WORDS),
        ({"pattern": ABOUT}, "{text} About {candidate}? [MASK]", WORDS),
    ],
)
def test_task_of_several_labels(settings, pattern, verbalizer):
    read = ClozeSettings.read(ASKED | settings)
    assert read.task(TASK.to_dict()).to_dict() == PatternVerbalizer(pattern, verbalizer).to_dict()
    assert read.candidates == ["a", "b"]
    assert read == ClozeSettings.read({"multi_label": True, **settings}).override({"candidate_labels": "a, b"})


def test_a_saved_question_about_candidates_is_asked():
    assert ClozeSettings.read(ASKED).task(ABOUT.to_dict()).to_dict() == ABOUT.to_dict()
    other = ClozeSettings.read({**ASKED, "hypothesis_template": "{}"}).task(ABOUT.to_dict())
    assert other.patterns[0].text == "{text|shorten} {candidate} True or false? [MASK]."


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"candidate_labels": None}, "multi_label=True asks about each of several labels: give candidate_labels="),
        ({"candidate_labels": " , "}, "is empty"),
        ({"pattern": "{text} [MASK]"}, "several labels at once need a question about one of them"),
        ({"pattern": TASK}, "several labels at once need a question about one of them"),
        ({"hypothesis_template": "It is so."}, "expected one {}, where the labels go"),
    ],
)
def test_no_task_of_several_labels(settings, message):
    with pytest.raises(ValueError, match=message):
        ClozeSettings.read(ASKED | settings).task(None)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, Calibration("contextual", ("x",), temperature=2.0)),
        ({"temperature": 3.0}, Calibration("contextual", ("x",), temperature=3.0)),
        ({"calibration": "contextual"}, Calibration("contextual", ("x",))),
        ({"calibration": None, "temperature": 3.0}, Calibration(None, ("x",), temperature=3.0)),
        ({"calibration": "pmi", "domain_premise": "[MASK]"}, Calibration("pmi", ("x",), "[MASK]")),
        (
            {"calibration": Calibration("pmi", domain_premise="a [MASK]")},
            Calibration("pmi", domain_premise="a [MASK]"),
        ),
    ],
)
def test_calibration(settings, expected):
    own = Calibration("contextual", ("x",), temperature=2.0)
    assert ClozeSettings.read(settings).read_calibration(own) == expected


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"template": "{}"}, TypeError, r"Unknown arguments \['template'\]: the pipeline takes \['calibration'"),
        ({"multi_label": "yes"}, ValueError, "multi_label='yes' is of type str: expected True or False"),
        (
            {"multi_label": True, "prediction_sets": True},
            ValueError,
            "prediction_sets=True is for labels of which one",
        ),
        ({"threshold": 1.5}, ValueError, "threshold=1.5: expected a number from 0 to 1"),
        ({"prediction_sets": 0.9}, ValueError, "prediction_sets=0.9 is of type float"),
        ({"top_k": 0}, ValueError, "top_k=0"),
        ({"top_k": "all"}, ValueError, "top_k='all'"),
        ({"top_k": 1.5}, ValueError, "top_k=1.5 is of type float"),
        ({"top_k": True}, ValueError, "top_k=True is of type bool"),
        ({"max_length": 0}, ValueError, "max_length=0: expected at least 1"),
        ({"max_length": "9"}, ValueError, "max_length='9' is of type str"),
        ({"temperature": float("nan")}, ValueError, "temperature=nan: expected a number from"),
        ({"temperature": 0}, ValueError, "temperature=0: expected a number from"),
        ({"truncation": "yes"}, ValueError, "truncation='yes' is of type str: expected True or False"),
        ({"pattern": "p", "hypothesis_template": "t"}, ValueError, "Give either pattern= or hypothesis_template="),
        ({"verbalizer": WORDS, "candidate_labels": "a"}, ValueError, "Give either verbalizer= or candidate_labels="),
    ],
)
def test_errors(settings, error, message):
    with pytest.raises(error, match=message):
        ClozeSettings.read(settings)
    with pytest.raises(error, match=message):
        ClozeSettings().override(settings)


def test_no_task():
    assert ClozeSettings().top_k is NOT_GIVEN
    with pytest.raises(ValueError, match="the tokenizer carries none"):
        ClozeSettings().task(None)

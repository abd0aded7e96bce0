"""Metrics against values worked by hand."""

import datasets
import numpy as np
import pandas as pd
import pytest
import torch

from modeling_glm import PatternVerbalizer
from modeling_glm.cloze.metrics import compute_metrics, with_labels
from modeling_glm.tokenization.cloze.published import available_tasks, read_task
from tests.support.missing import MISSING
from tests.support.superglue import ENTAILMENT, MULTIRC, label_examples


@pytest.mark.parametrize("name", available_tasks())
def test_the_metric_of_every_task_is_known(name):
    with pytest.raises(ValueError, match="There are no examples"):
        compute_metrics(read_task(name)["metric"], [], [])


@pytest.mark.parametrize("convert", [list, tuple, np.array, torch.tensor])
def test_accuracy(convert):
    predictions = convert([0, 1, 1, 1])
    scores = compute_metrics("accuracy", label_examples(*"abba"), predictions, labels=["a", "b"])
    assert scores == {"accuracy": 0.75}
    assert type(scores["accuracy"]) is float
    assert compute_metrics("accuracy", label_examples(0, 1, 1, 0), predictions) == {"accuracy": 0.75}
    assert compute_metrics("accuracy", label_examples(False, True, True, True), predictions, ["false", "true"]) == {
        "accuracy": 1.0
    }


@pytest.mark.parametrize(
    "make",
    [iter, lambda rows: pd.DataFrame(rows, index=[3, 1, 0, 2]), lambda rows: pd.DataFrame(rows).to_dict("list")],
)
def test_any_form_of_examples(make):
    rows = label_examples(*"abba")
    assert compute_metrics("accuracy", make(rows), [0, 1, 1, 1], labels=["a", "b"]) == {"accuracy": 0.75}


def test_cb_is_a_mean_over_classes():
    labels = ["entailment", "contradiction", "neutral"]
    # F1 by class: 4/5, 2/3, 0
    gold = ["entailment", "entailment", "contradiction", "neutral"]
    scores = compute_metrics("cb", label_examples(*gold), [0, 0, 1, 1], labels)
    assert scores == {"accuracy": 0.75, "f1": pytest.approx((1 + 2 / 3 + 0) / 3)}


def test_multirc():
    # 2 of 3 right answers are found and one is invented; of three questions only the first has no mistake.
    scores = compute_metrics("multirc", MULTIRC, [1, 0, 1, 0, 1])
    assert scores == {"f1_a": pytest.approx(2 / 3), "exact_match": pytest.approx(1 / 3), "accuracy": 0.6}


@pytest.mark.parametrize("names", [["1", "0"], ["-1", "0", "1"], ["1", "2", "3"], ["True", "False"]])
@pytest.mark.parametrize("metric", ["accuracy", "cb", "axb", "axg"])
def test_a_label_is_its_name_in_every_type(metric, names):
    """A number that is a name is not the place of a class."""
    values = {"True": True, "False": False}
    numbers = [values[name] if name in values else int(name) for name in names]
    expected = compute_metrics(metric, label_examples(*names), range(len(names)), names)
    for labels in (numbers, np.array(numbers), pd.Series(numbers, index=range(len(numbers), 0, -1))):
        assert compute_metrics(metric, label_examples(*labels), range(len(names)), names) == expected
    assert expected["accuracy"] == 1.0


@pytest.mark.parametrize("missing", MISSING)
def test_examples_without_a_label(missing):
    with pytest.raises(ValueError, match="Example 1 has no 'label'"):
        compute_metrics("accuracy", label_examples("a", missing), [0, 0], ["a", "b"])
    with pytest.raises(ValueError, match="Example 0 has no 'truth'"):
        compute_metrics("wsc", [{"truth": missing}], [0])


def test_labels_of_a_task_as_metrics_read_them():
    task = PatternVerbalizer("{a} [MASK]", {1: "x", 0: "y"}, label_field="gold")
    examples = [{"gold": gold} for gold in (1, "0", np.float64(1), None, float("nan"))]
    assert [example["label"] for example in with_labels(task, examples)] == ["1", "0", "1", None, None]
    choosing = PatternVerbalizer("{a} [MASK]", choices="{options}")
    options = ["p", "q"]
    asked = [{"options": options, "label": label} for label in (1, "p", None)]
    assert [example["label"] for example in with_labels(choosing, asked)] == [1, 0, None]


def test_numbers_of_a_class_label_are_its_names():
    """As for `ClozeClassifier.score`: the names of the dataset have another order than the task."""
    task = PatternVerbalizer("{a} [MASK]", {"neg": "x", "pos": "y"})
    features = datasets.Features({"a": datasets.Value("string"), "label": datasets.ClassLabel(names=["pos", "neg"])})
    rows = datasets.Dataset.from_dict({"a": ["p", "q"], "label": [0, 1]}, features=features)
    assert [example["label"] for example in with_labels(task, rows)] == ["pos", "neg"]


def test_multirc_without_any_positive():
    scores = compute_metrics("multirc", MULTIRC[4:], [0])
    assert scores == {"f1_a": 0.0, "exact_match": 1.0, "accuracy": 1.0}


def test_record_takes_the_nearest_answer():
    record = [
        {"candidates": ["the Rosa Pike!", "Arlen"], "answers": ["Rosa  Pike", "Mayor Rosa Pike"]},
        {"candidates": ["Arlen", "Pike"], "answers": ["Mayor Rosa Pike", "Rosa Pike"]},
        {"candidates": ["Arlen", "Pike"], "answers": ["Rosa Pike"]},
    ]
    scores = compute_metrics("record", record, [0, 1, 0])
    assert scores == {"f1": pytest.approx((1 + 2 / 3 + 0) / 3), "exact_match": pytest.approx(1 / 3)}


def test_wsc_is_true_where_the_first_is_chosen():
    wsc = [{"truth": truth, "label": 0 if truth == "True" else None} for truth in ("True", "True", "False", "False")]
    assert compute_metrics("wsc", wsc, [0, 2, 1, 0]) == {"accuracy": 0.5}


def test_diagnostic_sets():
    gold = label_examples(*(ENTAILMENT[label] for label in (0, 0, 1, 1)))
    scores = compute_metrics("axb", gold, [0, 1, 1, 1], ENTAILMENT)
    assert scores == {"matthews_correlation": pytest.approx(1 / 3**0.5), "accuracy": 0.75}
    assert compute_metrics("axg", gold, [0, 1, 1, 1], ENTAILMENT) == {"accuracy": 0.75}
    paired = [{**example, "pair_id": number // 2} for number, example in enumerate(gold)]
    assert compute_metrics("axg", paired, [0, 1, 1, 1], ENTAILMENT) == {"accuracy": 0.75, "gender_parity": 0.5}


@pytest.mark.parametrize(("metric", "score"), [("f1", 0.8), ("matthews", 1 / 3**0.5)])
def test_tasks_of_two_classes(metric, score):
    """Of the second class: 2 of 3 are right, and all right ones are found."""
    examples = label_examples("0", "1", "1", "0")
    scores = compute_metrics(metric, examples, [1, 1, 1, 0], ["0", "1"])
    assert scores.pop("accuracy") == 0.75
    assert list(scores.values()) == pytest.approx([score])


@pytest.mark.parametrize(
    ("metric", "rows", "predictions", "labels", "message"),
    [
        ("f2", label_examples(0), [0], None, r"Unknown metric 'f2': there are \['accuracy'"),
        ("accuracy", [], [], None, r"There are no examples"),
        ("accuracy", label_examples(0, 1), [0], None, r"There are 1 predictions for 2 examples"),
        ("accuracy", label_examples(0), [0.5], None, r"take the argmax"),
        ("accuracy", label_examples(0, None), [0, 0], None, r"Example 1 has no 'label'"),
        ("accuracy", label_examples("a"), [0], None, r"Example 0: The label is 'a': give labels="),
        ("accuracy", label_examples(True), [0], None, r"Example 0: The label is True: give labels="),
        (
            "accuracy",
            label_examples("c"),
            [0],
            ["a", "b"],
            r"Example 0: Label 'c' is not one of the task's: expected one of \['a', 'b'\]",
        ),
        ("accuracy", label_examples("a"), [2], ["a", "b"], r"Prediction 2 is not one of the 2 classes"),
        ("accuracy", label_examples("a"), [-1], ["a", "b"], r"Prediction -1 is not one of the 2 classes"),
        ("record", [{"candidates": ["a"], "answers": ["a"]}], [1], None, r"Prediction 1 is not one of the 1 classes"),
        ("record", [{"candidates": ["a"], "answers": []}], [0], None, r"Example 0 has no 'answers'"),
        ("wsc", [{"truth": None}], [0], None, r"Example 0 has no 'truth'"),
    ],
)
def test_what_cannot_be_scored(metric, rows, predictions, labels, message):
    with pytest.raises(ValueError, match=message):
        compute_metrics(metric, rows, predictions, labels)

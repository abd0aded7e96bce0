"""Files with results, and their table."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image
from transformers import TrainingArguments

from modeling_glm import PatternVerbalizer
from modeling_glm.cloze.report import format_table, plot_confusion, warn_of_majority, write_results
from modeling_glm.cloze.sources import ClozeData
from modeling_glm.cloze.training import ClozeOutcome
from modeling_glm.utils.rows import RowError

TASK = PatternVerbalizer("{text} [MASK]", {"good": "x", "bad": "y"})
PROBABILITIES = np.array([[0.75, 0.25], [0.12345678, 0.87654322]])


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def make(
    task: PatternVerbalizer, name: str = "toy", submits: bool = False, **fields
) -> tuple[ClozeData, ClozeOutcome]:
    test = [{"text": "é", "label": 0, **fields}, {"text": "two", "label": 1, **fields}]
    unlabelled = [{"text": "a", "idx": 7, **fields}, {"text": "b", "idx": 8, **fields}]
    return ClozeData(name, task, [], [], test, unlabelled, submits=submits), ClozeOutcome(
        {"accuracy": 1.0}, PROBABILITIES, list(PROBABILITIES[::-1]), task
    )


def test_labels(tmp_path):
    data, outcome = make(TASK)
    write_results(tmp_path, data, outcome)
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"accuracy": 1.0}
    assert read(tmp_path / "predictions.jsonl") == [
        {"predicted": "good", "probability": 0.75, "example": {"text": "é", "label": 0}},
        {"predicted": "bad", "probability": 0.876543, "example": {"text": "two", "label": 1}},
    ]
    assert read(tmp_path / "unlabelled.jsonl") == [
        {
            "text": "a",
            "idx": 7,
            "predicted": "bad",
            "probability": 0.876543,
            "probabilities": {"good": 0.123457, "bad": 0.876543},
        },
        {
            "text": "b",
            "idx": 8,
            "predicted": "good",
            "probability": 0.75,
            "probabilities": {"good": 0.75, "bad": 0.25},
        },
    ]
    assert (tmp_path / "confusion.png").is_file()
    assert (tmp_path / "reliability.png").is_file()


def test_what_an_answer_rule_makes_of_the_probabilities(tmp_path):
    data, outcome = make(TASK)
    ruled = TASK.with_answer_rule({"threshold": 0.8, "coverage": 0.9, "quantile": 0.8})
    write_results(tmp_path, data, dataclasses.replace(outcome, task=ruled))
    for name, order in (("predictions", [0, 1]), ("unlabelled", [1, 0])):
        lines = [read(tmp_path / f"{name}.jsonl")[place] for place in order]
        assert [line["predicted"] for line in lines] == ["good", "bad"]  # always the best
        assert [line["answered"] for line in lines] == [False, True]
        assert [line["labels"] for line in lines] == [["good", "bad"], ["bad"]]


def test_bad_rows_are_named_by_their_lines(tmp_path):
    data, outcome = make(TASK)
    lines = [ValueError("The line is not JSON."), *data.unlabelled]
    rows = [RowError(0, "The line is not JSON.", "Example"), RowError(1, "no text", "Example"), PROBABILITIES[0]]
    data = dataclasses.replace(data, unlabelled=lines, lines=[1, 3, 4])
    write_results(tmp_path, data, dataclasses.replace(outcome, unlabelled=rows))
    *bad, good = read(tmp_path / "unlabelled.jsonl")
    assert bad == [{"line": 1, "error": "The line is not JSON."}, {"line": 3, "error": "no text"}]
    assert (good["text"], good["predicted"]) == ("b", "good")


def test_a_submission_is_complete_or_not_written(tmp_path):
    data, outcome = make(
        PatternVerbalizer("{text} [MASK]", {"entailment": "Yes", "not_entailment": "No"}), "rte", True
    )
    rows = [PROBABILITIES[0], RowError(1, "no text", "Example")]
    with pytest.raises(ValueError, match="Example 1: no text"):
        write_results(tmp_path, data, dataclasses.replace(outcome, unlabelled=rows))
    assert not (tmp_path / "RTE.jsonl").exists()


@pytest.mark.parametrize(("accuracy", "warned"), [(0.2, True), (0.25, True), (0.3, False)])
def test_a_model_that_learned_nothing_says_so(tmp_path, accuracy, warned):
    arguments = TrainingArguments(str(tmp_path), learning_rate=1e-4, num_train_epochs=10)
    warning = warn_of_majority({"cloze": {"accuracy": accuracy}, "majority": {"accuracy": 0.25}}, arguments)
    assert (warning is not None) == warned
    expected = ["0.25", "--learning_rate 3e-04 or 3e-05", "--num_train_epochs than 10"] if warned else []
    assert [part for part in expected if part in str(warning)] == expected


def test_choices_of_the_examples(tmp_path):
    write_results(tmp_path, *make(PatternVerbalizer("{text} [MASK]", choices="{options}"), options=["one", "two"]))
    assert [line["predicted"] for line in read(tmp_path / "predictions.jsonl")] == ["one", "two"]
    assert [line["predicted"] for line in read(tmp_path / "unlabelled.jsonl")] == ["two", "one"]
    assert not (tmp_path / "confusion.png").exists()


def test_choices_without_examples_to_report_on(tmp_path):
    data, outcome = make(PatternVerbalizer("{text} [MASK]", choices="{options}"), options=["one", "two"])
    data.test.clear()
    write_results(tmp_path, data, dataclasses.replace(outcome, probabilities=np.zeros((0, 0))))
    assert read(tmp_path / "predictions.jsonl") == []
    assert [line["predicted"] for line in read(tmp_path / "unlabelled.jsonl")] == ["two", "one"]


def test_superglue(tmp_path):
    task = PatternVerbalizer("{text} [MASK]", {"entailment": "Yes", "not_entailment": "No"})
    data, outcome = make(task, "rte")  # rows of the user's own, without a submission
    write_results(tmp_path / "own", data, outcome)
    assert [line["predicted"] for line in read(tmp_path / "own" / "unlabelled.jsonl")] == [
        "not_entailment",
        "entailment",
    ]
    write_results(tmp_path, *make(task, "rte", submits=True))
    assert read(tmp_path / "RTE.jsonl") == [{"idx": 7, "label": "not_entailment"}, {"idx": 8, "label": "entailment"}]
    assert not (tmp_path / "unlabelled.jsonl").exists()


def test_examples_without_labels_have_no_confusion(tmp_path):
    data, outcome = make(TASK)
    data.test[0]["label"] = None
    write_results(tmp_path, data, outcome)
    assert not (tmp_path / "confusion.png").exists()
    assert (tmp_path / "reliability.png").is_file()  # of the other one
    data.test[1]["label"] = None
    (tmp_path / "unknown").mkdir()
    write_results(tmp_path / "unknown", data, outcome)
    assert not (tmp_path / "unknown" / "reliability.png").exists()


@pytest.mark.parametrize("classes", [2, 8])
def test_confusion(tmp_path, classes):
    path = tmp_path / "confusion.png"
    labels = [f"class {number}" for number in range(classes)]
    plot_confusion(list(range(classes)), [0] * classes, labels, path, "toy")
    image = np.asarray(Image.open(path).convert("RGB"))
    colours, counts = np.unique(image.reshape(-1, 3), axis=0, return_counts=True)
    pixels = dict(zip(map(tuple, colours.tolist()), counts.tolist(), strict=True))
    # One cell of each row has its example, in the darkest blue. All others have the lightest.
    assert pixels[247, 251, 255] / pixels[8, 48, 107] == pytest.approx(classes - 1, rel=0.05)
    assert 256 <= len(pixels) < 2000  # with the scale of 256 blues and the edges of texts


def test_table():
    table = format_table({"cloze": {"accuracy": 0.5, "ece": 0.25}, "majority": {"accuracy": 0.125}})
    head, first, second, note = table.splitlines()
    assert head.split() == ["accuracy", "ece"]
    assert first.split() == ["cloze", "0.500", "0.250"]
    assert second.split() == ["majority", "0.125"]
    assert note.startswith("ece: expected calibration error")
    assert len(format_table({"majority": {"accuracy": 0.125}}).splitlines()) == 2


def test_results_show_the_texts_of_the_caller(tmp_path):
    """Typographic quotes that were cleaned for the pattern, in the texts and in the choices of an example."""
    original = {"text": "it’s", "options": ["“one”", "two"]}
    fields = {"options": ['"one"', "two"], "original_texts": original}
    data, outcome = make(PatternVerbalizer("{text} [MASK]", choices="{options}"), **fields)
    write_results(tmp_path, data, outcome)
    line, _ = read(tmp_path / "predictions.jsonl")
    assert (line["predicted"], line["example"]) == ("“one”", {**original, "label": 0})
    _, line = read(tmp_path / "unlabelled.jsonl")
    assert (line["text"], line["options"], line["predicted"]) == ("it’s", ["“one”", "two"], "“one”")
    assert list(line["probabilities"]) == ["“one”", "two"]
    assert "original_texts" not in line

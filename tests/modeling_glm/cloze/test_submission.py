"""The lines of SuperGLUE's submission files."""

import json
import os

import numpy as np
import pytest

from modeling_glm.cloze.submission import SUBMISSION_FILES, SUBMITTED_LABELS, write_submission
from modeling_glm.tokenization.cloze.published import read_task
from modeling_glm.tokenization.cloze.superglue import SUPERGLUE_TASKS
from tests.support.superglue import ENTAILMENT, MULTIRC, label_examples


def labels_of(task):
    """As `task.labels` of its first pattern."""
    data = read_task(task)
    return list(data.get("verbalizer") or data["patterns"][0]["verbalizer"])


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_task_has_a_file():
    assert set(SUBMISSION_FILES) == set(SUPERGLUE_TASKS)


@pytest.mark.parametrize("task", ["axb", "axg", "boolq", "cb", "rte", "wic"])
def test_submissions_of_classes(task, tmp_path):
    labels = labels_of(task)
    rows = label_examples(*[None] * len(labels))
    path = write_submission(task, rows, np.arange(len(labels))[::-1], labels, tmp_path / "submission")
    assert path == tmp_path / "submission" / SUBMISSION_FILES[task]
    assert read(path) == [{"idx": number, "label": label} for number, label in enumerate(labels[::-1])]
    assert set(labels) == SUBMITTED_LABELS[task]


def test_submissions_of_choices(tmp_path):
    path = write_submission("copa", label_examples(None, None), [1, 0], None, tmp_path)
    assert path.read_text() == '{"idx": 0, "label": 1}\n{"idx": 1, "label": 0}\n'
    path = write_submission("wsc", label_examples(None, None), [0, 2], None, tmp_path)
    assert path.read_text() == '{"idx": 0, "label": "True"}\n{"idx": 1, "label": "False"}\n'
    record = [{"idx": {"passage": 3, "question": number}, "candidates": ["Ann", "Zoë"]} for number in (8, 9)]
    path = write_submission("record", record, [1, 0], [], tmp_path)
    assert path.read_text(encoding="utf-8") == '{"idx": 8, "label": "Zoë"}\n{"idx": 9, "label": "Ann"}\n'
    assert sorted(file.name for file in tmp_path.iterdir()) == ["COPA.jsonl", "ReCoRD.jsonl", "WSC.jsonl"]


def test_submission_of_record_has_the_words_of_its_file(tmp_path):
    """The server compares them, and knows typographic quotes as other characters."""
    original = {"candidates": ["O’Brien", "Mira"]}
    example = {"idx": {"passage": 0, "question": 7}, "candidates": ["O'Brien", "Mira"], "original_texts": original}
    path = write_submission("record", [example], [0], None, tmp_path)
    assert read(path) == [{"idx": 7, "label": "O’Brien"}]


def test_submission_of_multirc(tmp_path):
    path = write_submission("multirc", MULTIRC, [1, 0, 0, 1, 1], ["0", "1"], tmp_path)
    assert read(path) == [
        {
            "idx": 4,
            "passage": {
                "questions": [
                    {"idx": 0, "answers": [{"idx": 0, "label": 1}, {"idx": 1, "label": 0}]},
                    {"idx": 1, "answers": [{"idx": 0, "label": 0}, {"idx": 1, "label": 1}]},
                ]
            },
        },
        {"idx": 7, "passage": {"questions": [{"idx": 0, "answers": [{"idx": 0, "label": 1}]}]}},
    ]


@pytest.mark.parametrize(
    ("task", "rows", "predictions", "labels", "message"),
    [
        ("mnli", label_examples(None), [0], None, r"SuperGLUE has no task 'mnli': expected one of \['axb'"),
        ("rte", [], [], ENTAILMENT, r"There are no examples"),
        ("rte", label_examples(None), [0, 1], ENTAILMENT, r"There are 2 predictions for 1 examples"),
        ("rte", label_examples(None), [2], ENTAILMENT, r"Prediction 2 is not one of the 2 classes"),
        ("rte", label_examples(None), [0], None, r"labels=None: expected the names of the classes of 'rte'"),
        (
            "boolq",
            label_examples(None),
            [0],
            ["No", "Yes"],
            r"labels=\['No', 'Yes'\]: expected .* \['false', 'true'\]",
        ),
        ("copa", label_examples(None), [2], None, r"Prediction 2 is not one of the 2 classes"),
        (
            "rte",
            [{"premise": "a"}],
            [0],
            ["entailment", "not_entailment"],
            r"Example 0 has no 'idx': give the examples",
        ),
        ("copa", [{"idx": -1}, {"idx": -1}], [0, 0], None, r"idx -1 occurs 2 times: give the examples of the test"),
        ("record", [{"idx": {"question": 0}, "candidates": ["a"]}], [1], None, r"Prediction 1 is not one of the 1 "),
    ],
)
def test_what_cannot_be_submitted(task, rows, predictions, labels, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        write_submission(task, rows, predictions, labels, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_submission_is_replaced_whole(tmp_path, monkeypatch):
    path = write_submission("rte", label_examples(None), [0], ENTAILMENT, tmp_path)
    before = path.read_text()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_submission("rte", label_examples(None), [1], ENTAILMENT, tmp_path)
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]

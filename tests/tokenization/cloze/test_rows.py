"""Rows of datasets as examples: preprocessors, missing labels and columns."""

import numpy as np
import pandas as pd
import pytest

from modeling_glm import PatternVerbalizer
from modeling_glm.tokenization.cloze.published import read_task
from modeling_glm.tokenization.cloze.rows import example_from_row

RACE = {
    "article": "Ann has a cat. It is white.",
    "question": "The cat is _ .",
    "options": ["white.", "black.", "grey.", "red."],
    "answer": "A",
}
CLUEWSC = {
    "text": "他说：小王把伞给了老李，因为他淋湿了。",
    "target": {"span1_text": "老李", "span2_text": "他", "span1_index": 6, "span2_index": 11},
    "label": 0,
    "idx": 0,
}
YAHOO = {"question_title": "Why?", "question_content": "", "best_answer": "It scatters\\nlight.", "topic": 1}


def test_race_questions_with_and_without_a_gap():
    row = {**RACE, "question": "What is white?"}
    example = example_from_row(read_task("race"), row)
    assert PatternVerbalizer.from_task("race").fill(example) == (
        "Ann has a cat. It is white. Question: What is white? Answer:[MASK]"
    )
    assert example["options"] == row["options"]
    example = example_from_row(read_task("race"), {**row, "question": "__ is white", "answer": "D"})
    assert (example["before"], example["after"], example["label"]) == ("", " is white", 3)
    example = example_from_row(read_task("race"), {**row, "answer": ""})
    assert example["label"] is None
    with pytest.raises(ValueError, match=r"The answer is 'E': expected one of \['A', 'B', 'C', 'D'\]"):
        example_from_row(read_task("race"), {**row, "answer": "E"})


def test_cluewsc_takes_the_nearest_pronoun():
    example = example_from_row(read_task("cluewsc"), CLUEWSC)
    assert example["marked_text"] == "他说：小王把伞给了老李，因为*他*淋湿了。"
    with pytest.raises(ValueError, match=r"The pronoun '她' is not in the text"):
        example_from_row(read_task("cluewsc"), {**CLUEWSC, "target": {**CLUEWSC["target"], "span2_text": "她"}})


def test_rows_without_a_label_or_a_column():
    task = read_task("yahoo")
    for missing in (-1, np.int64(-1), -1.0, None, float("nan"), pd.NA):
        assert example_from_row(task, {**YAHOO, "topic": missing})["label"] is None
    assert example_from_row({"verbalizer": {"-1": "x", "1": "y"}}, {"label": -1})["label"] == -1
    assert example_from_row(read_task("race"), {**RACE, "answer": float("nan")})["label"] is None
    with pytest.raises(ValueError, match=r"Task 'yahoo' reads the columns \['best_answer'\], but the row has"):
        example_from_row(task, {"topic": 1})
    with pytest.raises(ValueError, match=r"Task 'race' reads a column 'question', but the row has \['article'\]"):
        example_from_row(read_task("race"), {"article": "a"})
    with pytest.raises(ValueError, match=r"Unknown preprocessor 'other' of task None: there are \['agnews'"):
        example_from_row({"preprocess": "other"}, {"text": "a"})


def test_agnews_in_one_column():
    task, row = PatternVerbalizer.from_task("agnews"), {"text": "Ferry stops", "label": 0}
    example = example_from_row(read_task("agnews"), row)
    assert task.fill(example, 2) == " ([MASK]) Ferry stops"
    assert task.label_index(example) == 0


def test_escaped_new_lines():
    assert "It scatters light." in example_from_row(read_task("yahoo"), YAHOO).values()

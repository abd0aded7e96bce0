"""Rows of datasets as examples: preprocessors, missing labels and columns."""

import numpy as np
import pandas as pd
import pytest

from modeling_glm import PatternVerbalizer
from modeling_glm.tokenization.cloze.published import read_task
from modeling_glm.tokenization.cloze.rows import example_from_row
from modeling_glm.tokenization.patterns.punctuation import with_original_texts

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


def test_race_articles_stand_on_one_line():
    row = {**RACE, "article": "It rained .\n  She left . . \tHe stayed ."}
    example = example_from_row(read_task("race"), row)
    assert example["article"] == "It rained. She left.. He stayed ."
    assert with_original_texts(example)["article"] == row["article"]


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        ("Who asks?", (" Question:", " Who asks?", " Answer:", "")),
        ("It is _ .", ("", " It is", "", " .")),
        ("_ asks _", ("", "", "", " asks _")),
        ("It is ____", ("", " It is", "", "")),
    ],
)
def test_race_puts_the_question_around_the_blank(question, parts):
    example = example_from_row(read_task("race"), {**RACE, "question": question})
    assert tuple(example[name] for name in ("lead", "before", "tail", "after")) == parts


def cluewsc(text: str, span1: tuple[str, int], pronoun: tuple[str, int]) -> dict:
    target = {"span1_text": span1[0], "span1_index": span1[1], "span2_text": pronoun[0], "span2_index": pronoun[1]}
    return {"text": text, "target": target, "label": 0, "idx": 0}


@pytest.mark.parametrize(
    ("row", "marked"),
    [
        (CLUEWSC, "他说：小王把伞给了#老李#，因为*他*淋湿了。"),
        (cluewsc("他来了，老李走了", ("老李", 4), ("他", 0)), "*他*来了，#老李#走了"),
        (cluewsc("老李他来", ("老李", 0), ("他", 2)), "#老李#*他*来"),
        (cluewsc("他的书丢了", ("他的书", 0), ("他", 0)), "#*他*的书#丢了"),
        (cluewsc("老李的他", ("老李的他", 0), ("他", 3)), "#老李的*他*#"),
        # A wrong index marks the nearest occurrence.
        (cluewsc("他说他累", ("他", 0), ("他", 3)), "#他#说*他*累"),
        (cluewsc("哈哈哈", ("哈", 0), ("哈哈", 1)), "#哈#*哈哈*"),
    ],
)
def test_cluewsc_marks_span_and_pronoun(row, marked):
    assert example_from_row(read_task("cluewsc"), row)["marked_text"] == marked


@pytest.mark.parametrize(("field", "kind"), [("span2_text", "pronoun"), ("span1_text", "span")])
@pytest.mark.parametrize("text", ["她", ""])
def test_cluewsc_without_its_words(field, kind, text):
    with pytest.raises(ValueError, match=f"The {kind} '{text}' is not in the text"):
        example_from_row(read_task("cluewsc"), {**CLUEWSC, "target": {**CLUEWSC["target"], field: text}})


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
    example = example_from_row(read_task("yahoo"), YAHOO)
    assert example["answer"] == "It scatters light."
    assert with_original_texts(example)["answer"] == "It scatters\\nlight."


def test_a_new_line_of_agnews_is_a_backslash():
    row = {"title": "Goats", "text": "The\\national team’s", "label": 0}
    assert example_from_row(read_task("agnews"), row)["text"] == "The national team's"


@pytest.mark.parametrize(
    "name", ["mnli", "sst2", "cola", "mrpc", "qqp", "qnli", "yelp_full", "yelp_polarity", "yahoo"]
)
def test_typography_becomes_ascii_in_english_tasks(name):
    fields = PatternVerbalizer.from_task(name).text_fields
    renamed = {field: column for column, field in read_task(name)["dataset"].get("fields", {}).items()}
    row = {renamed.get(field, field): "“It’s” – wet" for field in fields} | {renamed.get("label", "label"): 0}
    example = example_from_row(read_task(name), row)
    assert [example[field] for field in fields] == ['"It\'s" - wet'] * len(fields)
    assert with_original_texts(example) == {**dict.fromkeys(fields, "“It’s” – wet"), "label": 0}


@pytest.mark.parametrize("name", ["afqmc", "tnews", "cluewsc", "race"])
def test_other_texts_keep_their_quotes(name):
    """The originals leave them, and in Chinese they are the usual ones."""
    assert "standardize" not in read_task(name).get("preprocess", [])


def test_labels_are_not_cleaned():
    assert example_from_row(read_task("mnli"), {"premise": "a", "hypothesis": "b", "label": "it’s"})["label"] == "it’s"

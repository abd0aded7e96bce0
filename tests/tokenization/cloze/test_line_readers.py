"""Lines of SuperGLUE's files as examples, one reader at a time; test_superglue.py compares them with the originals."""

import pytest

from modeling_glm.tokenization.cloze.line_readers import (
    add_candidates,
    read_axg,
    read_copa,
    read_multirc,
    read_plain,
    read_record,
    read_wsc,
)

COPA = {"premise": "It rained.", "choice1": "wet", "choice2": "dry", "question": "cause", "label": 0, "idx": 3}


@pytest.mark.parametrize("label", ["true", "True", True])
def test_plain_lines(label):
    read = read_plain("a", "b", labels=("false", "true"), renamed={"b": "c"})
    assert read({"a": "x", "b": "y", "idx": 1, "label": label, "more": 2}, "train") == [
        {"a": "x", "c": "y", "idx": 1, "label": "true"}
    ]
    assert read({"a": "x", "b": "y", "idx": 1}, "test")[0]["label"] is None
    with pytest.raises(ValueError, match=r"the label is 'maybe': expected one of \['false', 'true'\]"):
        read({"a": "x", "b": "y", "idx": 1, "label": "maybe"}, "train")
    with pytest.raises(ValueError, match="'b' is 3: expected a text"):
        read({"a": "x", "b": 3, "idx": 1, "label": label}, "train")


def test_axg_keeps_the_number_of_a_pair():
    row = {"premise": "a", "hypothesis": "b", "idx": 0, "label": "entailment"}
    assert "pair_id" not in read_axg(row, "test")[0]
    assert read_axg({**row, "pair_id": 7}, "test")[0]["pair_id"] == 7


@pytest.mark.parametrize(("question", "connective"), [("cause", " because"), ("effect", ", so")])
def test_copa_joins_its_choices(question, connective):
    (example,) = read_copa({**COPA, "question": question}, "val")
    assert (example["connective"], example["label"]) == (connective, 0)
    example, swapped = read_copa({**COPA, "question": question}, "train")
    assert swapped == {**example, "choice1": "dry", "choice2": "wet", "idx": -1, "label": 1}
    with pytest.raises(ValueError, match="'question' is 'why'"):
        read_copa({**COPA, "question": "why"}, "val")


def test_multirc_has_an_example_for_every_answer():
    answers = [{"text": "yes", "idx": 0, "label": 1}, {"text": "no", "idx": 1, "label": 0}]
    passage = {"text": "p", "questions": [{"question": "q", "idx": 4, "answers": answers}]}
    assert read_multirc({"passage": passage, "idx": 2}, "train") == [
        {
            "passage": "p",
            "question": "q",
            "answer": text,
            "idx": {"passage": 2, "question": 4, "answer": number},
            "label": label,
        }
        for number, (text, label) in enumerate([("yes", "1"), ("no", "0")])
    ]


def test_record_has_an_example_for_every_answer():
    text = "Ann met Bo.\n@highlight\nBo saw Cy"
    entities = [{"start": 0, "end": 2}, {"start": 8, "end": 9}, {"start": 23, "end": 24}, {"start": 30, "end": 31}]
    answers = [{"start": 8, "end": 9, "text": "Bo"}, {"start": 23, "end": 24, "text": "Bo"}, {"text": "Ann"}]
    row = {
        "idx": 1,
        "passage": {"text": text, "entities": entities},
        "qas": [{"idx": 5, "query": "@placeholder was glad.", "answers": answers}],
    }
    train = read_record(row, "train")
    assert [example["candidates"] for example in train] == [["Ann", "Cy"], ["Bo", "Cy"]]
    assert [example["idx"] for example in train] == [
        {"passage": 1, "question": 5, "answer": 0},
        {"passage": 1, "question": 5, "answer": 1},
    ]
    (val,) = read_record(row, "val")
    assert val == {
        "passage": "Ann met Bo.\n- Bo saw Cy",
        "query": "@placeholder was glad.",
        "before": "",
        "after": " was glad.",
        "answers": ["Ann", "Bo"],
        "candidates": ["Ann", "Bo", "Cy"],
        "idx": {"passage": 1, "question": 5},
        "label": 0,
    }


def wsc_row(text="Tom fell, as did he.", pronoun="he", index=4, span1="Tom", label=True, idx=0):
    target = {"span1_text": span1, "span2_text": pronoun, "span1_index": 0, "span2_index": index}
    return {"text": text, "target": target, "label": label, "idx": idx}


@pytest.mark.parametrize(
    ("text", "pronoun", "index", "marked"),
    [
        ("Tom fell  as he ran", "he", 3, "Tom fell as *he* ran"),
        ("Tom fell as he ran", "he", 2, "Tom fell as *he* ran"),  # one too low
        ("Tom fell as he ran", "he", 4, "Tom fell as *he* ran"),  # one too high
        ("Tom fell, as did he.", "he", 4, "Tom fell, as did *he* ."),
        ("Tom fell, as did he.", "he.", 4, "Tom fell, as did *he* ."),
        ("Tom fell, as did he.", "he", 3, "Tom fell, as did *he* ."),
        ("He fell, he said", "he", 1, "He fell, *he* said"),
        ("Tom said: “he's here”", "he", 2, "Tom said: “ *he* 's here”"),
        ("Ann saw the hers, her own", "her", 3, "Ann saw the hers, *her* own"),  # not within a word
        ("he", "he", 0, "*he*"),
    ],
)
def test_wsc_finds_its_pronoun(text, pronoun, index, marked):
    (example,) = read_wsc(wsc_row(text, pronoun, index), "train")
    assert example["marked_text"] == marked
    assert example["pronoun"] == pronoun.strip(".")


def test_wsc_candidates_are_there_once():
    row = {**wsc_row(), "candidates": [{"text": "Leo"}, {"text": "Tom"}, {"text": "Leo"}]}
    (example,) = read_wsc(row, "train")
    assert example["candidates"] == ["Tom", "Leo"]


def test_wsc_candidates_of_a_file():
    rows = [wsc_row(span1="Tom"), wsc_row(span1="Leo"), wsc_row("Tom fell as he ran", index=3)]
    examples = add_candidates([example for row in rows for example in read_wsc(row, "val")])
    assert [example["candidates"] for example in examples] == [["Tom", "Leo"], ["Leo", "Tom"], ["Tom"]]

"""The tasks of the package: the originals' patterns filled with an example, and files of one form."""

import json
import re

import pytest

from modeling_glm.tokenization.cloze.published import (
    available_tasks,
    read_task,
    with_original_spaces,
    with_prompt_tokens,
)
from modeling_glm.tokenization.cloze.rows import PREPROCESSORS, example_from_row
from modeling_glm.tokenization.cloze.superglue import read_superglue
from modeling_glm.tokenization.cloze.task import PatternVerbalizer
from tests.support.original_files import read_golden

GOLDEN = json.loads(read_golden("superglue/patterns.json"))
ORIGINAL_PATTERNS = [
    (task, number)
    for task, entry in GOLDEN.items()
    for number, pattern in entry["patterns"].items()
    # All patterns of ReCoRD are the same.
    if "error" not in pattern and (task != "record" or number == "0")
]
# Rows of the tasks outside SuperGLUE as the hub has them; test_golden_originals.py reads files of their authors.
OWN_ROWS = {
    "tnews": {"sentence": "女排三比零获胜", "label": 3, "idx": 0},
    "afqmc": {"sentence1": "怎么还款？", "sentence2": "如何还款", "label": 1, "idx": 0},
    "cluewsc": {
        "text": "小王把伞给了老李，因为他淋湿了。",
        "target": {"span1_text": "老李", "span2_text": "他", "span1_index": 6, "span2_index": 11},
        "label": 0,
        "idx": 0,
    },
    "agnews": {"title": "Ferry stops", "text": "The ferry\\stopped on Monday.", "label": 3},
    "yahoo": {
        "question_title": "Why is the sky blue?",
        "question_content": "",
        "best_answer": "It scatters\\nlight.",
        "topic": 1,
    },
    "sst2": {"sentence": "warm bread ", "label": 1, "idx": 0},
    "cola": {"sentence": "It rained.", "label": 1, "idx": 0},
    "mrpc": {"sentence1": "It rained.", "sentence2": "Rain fell.", "label": 1, "idx": 0},
    "qqp": {"question1": "Why rain?", "question2": "What is rain?", "label": 0, "idx": 0},
    "qnli": {"question": "Did it rain?", "sentence": "It rained.", "label": 0, "idx": 0},
    "yelp_polarity": {"text": "Warm bread", "label": 1},
    "yelp_full": {"text": "Warm bread", "label": 2},
    "mnli": {"premise": "It rained.", "hypothesis": "It was wet.", "label": 0},
    "race": {
        "article": "Ann has a cat. It is white.",
        "question": "The cat is _ .",
        "options": ["white.", "black.", "grey.", "red."],
        "answer": "A",
    },
}
YELP = [
    "It was[MASK]. Warm bread",
    "Warm bread. All in all, it was[MASK].",
    "Just[MASK]! Warm bread",
    "Warm bread In summary, the restaurant is[MASK].",
]
OWN_TEXTS = {
    "tnews": ["标题：女排三比零获胜关键词：类别：[MASK]"],
    "afqmc": ["怎么还款？？你是说如何还款？[MASK]。", "怎么还款？？[MASK]，如何还款"],
    "cluewsc": [
        "小王把伞给了#老李#，因为*他*淋湿了。代词'*他*'[MASK]指#老李#.",
        "在如下的句子中：小王把伞给了#老李#，因为*他*淋湿了。代词'*他*'[MASK]指'#老李#'.",
    ],
    "sst2": ["warm bread  It was[MASK]."] * 2,
    "cola": ['"It rained." This is[MASK].'],
    "mrpc": ["It rained.[MASK], rain fell.", "It rained. Does it mean that rain fell?[MASK]"],
    "qqp": ["Why rain? Do you mean what is rain?[MASK].", "Why rain?[MASK], what is rain?"],
    "qnli": [
        "It rained. Question: Did it rain? Do you know the answer?[MASK].",
        "It rained. Based on the previous passage, do you know the answer Did it rain?[MASK].",
        "Based on the following passage, do you know the answer Did it rain?[MASK]. It rained.",
    ],
    "agnews": [
        "[MASK]: Ferry stops The ferry stopped on Monday.",
        "[MASK] News: Ferry stops The ferry stopped on Monday.",
        "Ferry stops ([MASK]) The ferry stopped on Monday.",
        "Ferry stops The ferry stopped on Monday. ([MASK])",
        "[ Category:[MASK] ] Ferry stops The ferry stopped on Monday.",
        "[MASK] - Ferry stops The ferry stopped on Monday.",
    ],
    "yahoo": [
        "[MASK]: Why is the sky blue? It scatters light.",
        "[MASK] Question: Why is the sky blue? It scatters light.",
        "Why is the sky blue? ([MASK]) It scatters light.",
        "Why is the sky blue? It scatters light. ([MASK])",
        "[ Category:[MASK] ] Why is the sky blue? It scatters light.",
        "[MASK] - Why is the sky blue? It scatters light.",
    ],
    "yelp_polarity": YELP,
    "yelp_full": YELP,
    "mnli": ['"It rained" ?[MASK], "It was wet."', "It rained?[MASK], It was wet."] * 2,
    "race": [
        "Ann has a cat. It is white. The cat is[MASK] .",
        "Ann has a cat. It is white. Based on the previous passage, The cat is[MASK] .",
    ],
}


def original_example(task, folder):
    """The example of the golden data, read as a training set."""
    (folder / "train.jsonl").write_text(json.dumps(GOLDEN[task]["raw"]))
    return read_superglue(task, folder, "train")[0]


def assert_same_pieces(pieces, original, has_inline):
    """
    Every piece is one of the original's or, where it is no field, several in a row: borders between two of its literal
    texts do not matter.
    """
    rest = list(original)
    for piece in pieces:
        found = rest.pop(0)
        if piece.kind == "mask":
            assert found == {"mask": True}
        elif piece.kind == "soft":
            assert found == {"prompt_tokens": piece.count}
        else:
            text, parts = found["text"], 1
            while len(text) < len(piece.text):
                text, parts = text + rest.pop(0)["text"], parts + 1
            assert text == piece.text
            assert piece.shortenable == found["shortenable"]
            assert parts == 1 or piece.written or has_inline
            assert parts == 1 or not piece.shortenable
    assert not rest


@pytest.mark.parametrize(("name", "number"), ORIGINAL_PATTERNS)
def test_patterns_of_the_originals(name, number, tmp_path):
    original = GOLDEN[name]["patterns"][number]
    example, task = original_example(name, tmp_path), PatternVerbalizer.from_task(name)
    pattern = int(number)
    assert task.fill(example, pattern) == original["filled"].replace("|", "")
    has_inline = "|inline}" in task.patterns[pattern].text
    assert_same_pieces(task.parts(example, pattern), original["parts_a"] + original["parts_b"], has_inline)
    words = task.choices(example, pattern)
    assert [word for row in words for word in row] == original["get_answers"]


@pytest.mark.parametrize(
    ("name", "number"),
    [(name, number) for name, number in ORIGINAL_PATTERNS if not GOLDEN[name]["patterns"][number]["is_multi_token"]],
)
def test_verbalizers_of_the_originals(name, number, tmp_path):
    original = GOLDEN[name]["patterns"][number]
    example, task = original_example(name, tmp_path), PatternVerbalizer.from_task(name)
    assert task.choices(example, int(number)) == list(original["verbalize"].values())
    assert list(task.patterns[int(number)].verbalizer) == [str(label) for label in GOLDEN[name]["labels"]]


@pytest.mark.parametrize(("name", "number"), [case for case in ORIGINAL_PATTERNS if case[0] != "record"])
def test_prompt_tokens_of_the_originals(name, number, tmp_path):
    original = GOLDEN[name]["patterns"][number]["with_9_prompt_tokens"]
    example, task = original_example(name, tmp_path), PatternVerbalizer.from_task(name, p_tuning=True)
    has_inline = "|inline}" in task.patterns[int(number)].text
    assert_same_pieces(task.parts(example, int(number)), original["parts_a"] + original["parts_b"], has_inline)
    plain = PatternVerbalizer.from_task(name)
    assert task.choices(example, int(number)) == plain.choices(example, int(number))


def test_all_patterns_of_the_originals_are_there():
    for name in GOLDEN:
        count = sum(task == name for task, _ in ORIGINAL_PATTERNS)
        assert len(read_task(name)["patterns"]) == count + (name == "wsc"), name  # which has one of our own


def test_available_tasks():
    superglue = {"boolq", "cb", "copa", "multirc", "record", "rte", "wic", "wsc", "axb", "axg"}
    assert set(available_tasks()) == superglue | OWN_ROWS.keys()
    assert GOLDEN.keys() <= superglue


@pytest.mark.parametrize("name", [*GOLDEN, "axb", "axg", *OWN_ROWS])
def test_files_have_one_form(name):
    data = read_task(name)
    required = {"name", "metric", "label_field", "patterns"}
    optional = {"integer_labels", "derived", "verbalizer", "choices", "p_tuning", "preprocess", "dataset", "files"}
    optional |= {"end_of_piece", "original_spaces"}
    assert required <= set(data) <= required | optional
    assert data["name"] == name
    names = data.get("preprocess", [])
    assert {names} if isinstance(names, str) else set(names) <= set(PREPROCESSORS)
    dataset, files = data.get("dataset", {}), data.get("files", {})
    assert set(dataset) <= {"path", "config", "fields"}
    assert set(files) <= {"folder", "form", "splits", "columns", "renamed", "labels_from"}
    assert ("path" in dataset) == ("folder" in files) == (name in OWN_ROWS)
    # What the numbers of choices, and those of the classes in the datasets of the hub, mean.
    numbered = "0" in data.get("verbalizer", {})
    assert "integer_labels" in data or numbered or name not in OWN_ROWS
    assert ("choices" in data) <= (data.get("integer_labels") == "place")
    texts = [pattern.text for pattern in PatternVerbalizer.from_task(name).patterns]
    assert [re.sub(r"\{soft:\d+\}", "", pattern) for pattern in data.get("p_tuning", texts)] == texts


@pytest.mark.parametrize("name", ["axb", "axg"])
def test_diagnostic_sets_are_asked_as_rte(name):
    changed = {"name": name, "metric": name}
    assert read_task(name) == {**read_task("rte"), **changed}


@pytest.mark.parametrize("name", OWN_ROWS)
def test_patterns_of_our_own(name):
    task = PatternVerbalizer.from_task(name)
    example = example_from_row(read_task(name), OWN_ROWS[name])
    assert [task.fill(example, number) for number in range(len(task.patterns))] == OWN_TEXTS[name]
    for number in range(len(task.patterns)):
        classes = len(task.choices(example, number))
        assert classes > 1
        assert task.label_index(example, number) in range(classes)
        assert any(piece.shortenable for piece in task.parts(example, number))


@pytest.mark.parametrize(
    ("name", "pattern", "words"),
    [
        ("agnews", 0, [" World", " Sports", " Business", " Tech"]),
        ("agnews", 4, [" World", " Sports", " Business", " Tech"]),
        ("yelp_polarity", 0, [" bad", " good"]),
        ("yelp_full", 2, [" terrible", " bad", " okay", " good", " great"]),
        ("mnli", 1, [" Wrong", " Right", " Maybe"]),
        ("mnli", 2, [" No", " Yes", " Maybe"]),
        ("race", 0, [" white.", " black.", " grey.", " red."]),
        ("cluewsc", 0, ["不是", "是"]),
        ("afqmc", 1, ["不是", "是"]),
    ],
)
def test_words_of_our_own(name, pattern, words):
    example = example_from_row(read_task(name), OWN_ROWS[name])
    assert PatternVerbalizer.from_task(name).choices(example, pattern) == [[word] for word in words]


@pytest.mark.parametrize(
    ("name", "number", "label"),
    [("mnli", 0, "entailment"), ("mnli", 2, "contradiction"), ("cluewsc", 0, "true"), ("tnews", 14, "116")],
)
def test_numbers_of_the_classes_on_the_hub(name, number, label):
    task = PatternVerbalizer.from_task(name)
    assert task.labels[task.label_index({"label": number})] == label
    assert task.label_index({"label": label}) == task.label_index({"label": number})


def test_original_spaces():
    plain, original = read_task("yelp_full"), with_original_spaces(read_task("yelp_full"))
    assert plain == read_task("yelp_full")
    assert original["patterns"] == [
        "It was [MASK].{text|shorten}",
        plain["patterns"][1],
        "Just [MASK]!{text|shorten}",
        plain["patterns"][3],
    ]
    words = with_original_spaces(read_task("mnli"))["patterns"]
    assert (words[1]["pattern"], words[1]["verbalizer"]["entailment"]) == (
        "{premise|bare|shorten}? [MASK],{hypothesis|shorten}",
        "Right",
    )
    assert with_original_spaces(read_task("rte")) == read_task("rte")


def test_wsc_asks_for_yes_or_no():
    example = {
        "marked_text": "Ann met Bo as *she* left.",
        "pronoun": "she",
        "span1": "Ann",
        "truth": "True",
        "label": 0,
    }
    task = PatternVerbalizer.from_task("wsc").select([3])
    assert task.fill(example) == (
        "Ann met Bo as *she* left. Question: In the passage above, does the pronoun '*she*' refer to Ann? Answer:[MASK]."
    )
    # 0 is what is true, as where the candidates are the choices.
    assert task.labels == ["True", "False"]
    assert task.choices(example) == [[" Yes"], [" No"]]
    assert task.label_index(example) == 0
    assert task.label_index({**example, "truth": "False", "label": None}) == 1


def test_copa_with_an_effect(tmp_path):
    row = {"premise": "It rained.", "choice1": "We got wet.", "choice2": "The sun shone.", "label": 0, "idx": 0}
    row["question"] = "effect"
    (tmp_path / "val.jsonl").write_text(json.dumps(row))
    (example,) = read_superglue("copa", tmp_path, "val")
    text = PatternVerbalizer.from_task("copa").fill(example, 1)
    assert text == "we got wet or the sun shone? It rained, so[MASK]."


def test_prompt_tokens():
    task = read_task("rte")
    changed = with_prompt_tokens(task)
    assert task == read_task("rte")
    assert all("{soft:" in entry["pattern"] for entry in changed["patterns"])
    with pytest.raises(ValueError, match="no prompt tokens for 'mnli'"):
        with_prompt_tokens(read_task("mnli"))

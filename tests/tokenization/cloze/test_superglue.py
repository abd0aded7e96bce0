"""Readers of SuperGLUE's files: the examples of the original processors, what is corrected, and every error."""

import json

import pytest

from modeling_glm.tokenization.cloze.superglue import read_superglue
from modeling_glm.tokenization.patterns.punctuation import with_original_texts
from tests.support.original_files import read_golden

OFFICIAL_NAMES = {
    "boolq": "BoolQ",
    "cb": "CB",
    "copa": "COPA",
    "multirc": "MultiRC",
    "record": "ReCoRD",
    "rte": "RTE",
    "wic": "WiC",
    "wsc": "WSC",
}
# The fields that the original examples call by the same name in all tasks.
TEXTS = {
    "boolq": ("passage", "question"),
    "cb": ("premise", "hypothesis"),
    "copa": ("premise", None),
    "multirc": ("passage", "question"),
    "record": ("passage", "query"),
    "rte": ("premise", "hypothesis"),
    "wic": ("sentence1", "sentence2"),
    "wsc": ("text", None),
}
RTE_ROW = {"premise": "It rained.", "hypothesis": "It was wet.", "label": "entailment", "idx": 0}


@pytest.fixture(scope="module")
def golden():
    return json.loads(read_golden("superglue/patterns.json"))


@pytest.fixture
def write(tmp_path):
    """Writes rows to a file in a folder of a task."""

    def write_rows(rows, name="train.jsonl", folder="RTE"):
        (tmp_path / folder).mkdir(exist_ok=True)
        lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
        (tmp_path / folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        return tmp_path

    return write_rows


def without(row, name):
    return {key: value for key, value in row.items() if key != name}


def fields_of_the_original(task: str, original: dict) -> dict:
    """What the original's example has, by our names of the fields."""
    first, second = TEXTS[task]
    meta = original["meta"]
    same = {name: meta[name] for name in ("choice1", "choice2", "question", "answer", "word") if name in meta}
    wanted = {**same, first: original["text_a"], "idx": original["idx"]}
    if second is not None:
        wanted[second] = original["text_b"]
    if task == "wsc":
        label = 0 if original["label"] == "True" else None
        return {
            **wanted,
            "truth": original["label"],
            "label": label,
            "candidates": [meta["span1_text"], *meta["candidates"]],
        }
    if task == "record":
        return {**wanted, "candidates": meta["candidates"], "answers": meta["answers"], "label": True}
    return {**wanted, "label": str(original["label"])}


def flat_number(task: str, split: str, idx):
    """The number of an example as the originals write it: parts in a list, and of ReCoRD's held-out ones the question."""
    if (task, split) == ("record", "val"):
        return idx["question"]
    return list(idx.values()) if isinstance(idx, dict) else idx


def label_of(task: str, example: dict):
    """WSC's as it is, for ReCoRD whether its candidate is an answer, and text for all others."""
    if task == "wsc":
        return example["label"]
    if task == "record":
        return example["candidates"][example["label"]] in example["answers"]
    return str(example["label"])


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("task", OFFICIAL_NAMES)
def test_examples_are_those_of_the_originals(golden, write, task, split):
    folder = write([golden[task]["raw"]], f"{split}.jsonl", OFFICIAL_NAMES[task])
    examples = read_superglue(task, folder, split)
    expected = golden[task]["processed"]["train" if split == "train" else "dev"]
    assert len(examples) == len(expected)
    for example, original in zip(examples, expected, strict=True):
        wanted = fields_of_the_original(task, original)
        found = {**example, "idx": flat_number(task, split, example["idx"]), "label": label_of(task, example)}
        assert {name: found[name] for name in wanted} == wanted


# What stands for one character of the raw example, so that places and numbers of words stay.
TYPOGRAPHY = {'"': "“", "'": "’", "-": "–"}


def set_typographically(value):
    """Replace every quote and hyphen by a typographic one, but not in labels and other names."""
    if isinstance(value, str):
        return "".join(TYPOGRAPHY.get(letter, letter) for letter in value)
    if isinstance(value, dict):
        kept = ("label", "question") if "choice1" in value else ("label",)
        return {name: inner if name in kept else set_typographically(inner) for name, inner in value.items()}
    return [set_typographically(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("task", OFFICIAL_NAMES)
def test_typographic_quotes_and_dashes_become_ascii(golden, write, task, split):
    """As the originals do, in every task: the examples are those of the file with ASCII, and remember their texts."""
    plain = golden[task]["raw"]
    expected = read_superglue(task, write([plain], f"{split}.jsonl", OFFICIAL_NAMES[task]), split)
    typographic = set_typographically(plain)
    found = read_superglue(task, write([typographic], f"{split}.jsonl", OFFICIAL_NAMES[task]), split)
    assert [
        {name: text for name, text in example.items() if name != "original_texts"} for example in found
    ] == expected


@pytest.mark.parametrize(
    ("task", "row", "field", "text"),
    [
        ("rte", {**RTE_ROW, "premise": "It’s “wet” – very."}, "premise", 'It\'s "wet" - very.'),
        ("cb", {**RTE_ROW, "hypothesis": "‘No’"}, "hypothesis", "'No'"),
        ("boolq", {"passage": "a–b", "question": "“c”", "label": True, "idx": 0}, "question", '"c"'),
        (
            "wic",
            {"sentence1": "it’s", "sentence2": "b", "word": "it’s", "label": True, "idx": 0},
            "word",
            "it's",
        ),
        (
            "copa",
            {"premise": "a", "choice1": "It’s", "choice2": "b", "question": "cause", "label": 0, "idx": 0},
            "choice1",
            "It's",
        ),
    ],
)
def test_texts_that_are_cleaned(write, task, row, field, text):
    example = read_superglue(task, write([row], "val.jsonl", OFFICIAL_NAMES[task]), "val")[0]
    assert example[field] == text
    assert with_original_texts(example)[field] == row[field]


def test_record_with_typographic_entities(write):
    """Places of entities stay right, entities that become one are one, and predictions can show the file's own words."""
    text = "O’Brien met Mira – and O'Brien."
    entities = [{"start": 0, "end": 6}, {"start": 12, "end": 15}, {"start": 23, "end": 29}]
    answers = [{"start": 0, "end": 6, "text": "O’Brien"}]
    questions = [{"query": "It’s @placeholder – yes", "idx": 1, "answers": answers}]
    row = {"passage": {"text": text, "entities": entities}, "qas": questions, "idx": 0}
    (example,) = read_superglue("record", write([row], "val.jsonl", "ReCoRD"), "val")
    assert (example["candidates"], example["label"], example["answers"]) == (["Mira", "O'Brien"], 1, ["O'Brien"])
    assert (example["before"], example["after"]) == ("It's ", " - yes")
    assert with_original_texts(example)["candidates"] == ["Mira", "O’Brien"]


def test_wsc_with_a_typographic_pronoun(write):
    row = wsc_row("Tom’s dog fell, as did “he”.", pronoun="he", index=5, span1="Tom’s dog")
    (example,) = read_superglue("wsc", write([row], "val.jsonl", "WSC"), "val")
    assert example["marked_text"] == 'Tom\'s dog fell, as did " *he* ".'
    assert (example["span1"], example["candidates"]) == ("Tom's dog", ["Tom's dog"])
    assert with_original_texts(example)["span1"] == "Tom’s dog"


def test_a_folder_of_the_task_itself(write):
    folder = write([RTE_ROW])
    assert read_superglue("rte", folder / "RTE", "train") == read_superglue("rte", folder, "train") == [RTE_ROW]


def test_unknown_fields_blank_lines_and_unicode_separators(write):
    text = "line\u2028separator"
    folder = write(["\ufeff" + json.dumps({**RTE_ROW, "premise": text, "extra": 1}, ensure_ascii=False), ""])
    assert read_superglue("rte", folder, "train") == [{**RTE_ROW, "premise": text}]


@pytest.mark.parametrize("task", ["boolq", "cb", "copa", "rte", "wic", "wsc"])
def test_test_sets_have_no_labels(golden, write, task):
    folder = write([without(golden[task]["raw"], "label")], "test.jsonl", OFFICIAL_NAMES[task])
    (example,) = read_superglue(task, folder, "test")
    assert example["label"] is None
    assert task != "wsc" or example["truth"] is None


def test_test_sets_of_nested_tasks_have_no_labels(golden, write):
    raw = json.loads(json.dumps(golden["multirc"]["raw"]))
    answers = [answer for question in raw["passage"]["questions"] for answer in question["answers"]]
    for answer in answers:
        del answer["label"]
    examples = read_superglue("multirc", write([raw], "test.jsonl", "MultiRC"), "test")
    assert [example["label"] for example in examples] == [None] * len(answers)

    raw = json.loads(json.dumps(golden["record"]["raw"]))
    for question in raw["qas"]:
        del question["answers"]
    text, entities = raw["passage"]["text"], raw["passage"]["entities"]
    candidates = sorted({text[entity["start"] : entity["end"] + 1] for entity in entities})
    examples = read_superglue("record", write([raw], "test.jsonl", "ReCoRD"), "test")
    found = [(example["label"], example["answers"], example["candidates"]) for example in examples]
    assert found == [(None, [], candidates)] * len(raw["qas"])


def test_multirc_numbers_its_answers(golden, write):
    raw = golden["multirc"]["raw"]
    examples = read_superglue("multirc", write([raw], "val.jsonl", "MultiRC"), "val")
    assert [example["idx"] for example in examples] == [
        {"passage": raw["idx"], "question": question["idx"], "answer": answer["idx"]}
        for question in raw["passage"]["questions"]
        for answer in question["answers"]
    ]


def wsc_row(text="Tom fell, as did he.", pronoun="he", index=4, span1="Tom", label=True, idx=0):
    target = {"span1_text": span1, "span2_text": pronoun, "span1_index": 0, "span2_index": index}
    return {"text": text, "target": target, "label": label, "idx": idx}


@pytest.mark.parametrize(("pronoun", "index"), [("she", 4), ("he", 1), ("he", 400), (".", 4)])
def test_wsc_without_its_pronoun(write, pronoun, index):
    with pytest.raises(ValueError, match=r"train.jsonl, line 1: the pronoun .* is neither word"):
        read_superglue("wsc", write([wsc_row(pronoun=pronoun, index=index)], folder="WSC"), "train")


def test_wsc_takes_candidates_from_other_lines(write):
    rows = [
        wsc_row(span1="Tom", label=False, idx=0),
        wsc_row(span1="Leo", label=True, idx=1),
        wsc_row("Tom fell as he ran", index=3, span1="Tom", label=False, idx=2),
    ]
    examples = read_superglue("wsc", write(rows, "val.jsonl", "WSC"), "val")
    assert [example["candidates"] for example in examples] == [["Tom", "Leo"], ["Leo", "Tom"], ["Tom"]]
    assert [example["label"] for example in examples] == [None, 0, None]
    assert [example["truth"] for example in examples] == ["False", "True", "False"]


def test_diagnostic_sets(tmp_path):
    broad = {"sentence1": "It rained.", "sentence2": "It was wet.", "label": "not_entailment", "idx": "0", "logic": ""}
    gender = {**RTE_ROW, "pair_id": 7}
    (tmp_path / "AX-b").mkdir()
    (tmp_path / "AX-b" / "AX-b.jsonl").write_text(json.dumps(broad))
    (tmp_path / "AX-g.jsonl").write_text(json.dumps(gender))
    assert read_superglue("axb", tmp_path, "test") == [
        {"premise": "It rained.", "hypothesis": "It was wet.", "idx": "0", "label": "not_entailment"}
    ]
    assert read_superglue("axg", tmp_path, "test") == [gender]
    with pytest.raises(ValueError, match=r"AX-b has no split 'train': expected one of \['test'\]"):
        read_superglue("axb", tmp_path, "train")


def test_unknown_task_and_split(tmp_path):
    with pytest.raises(ValueError, match=r"Unknown task 'RTE': SuperGLUE has \['axb'"):
        read_superglue("RTE", tmp_path, "train")
    with pytest.raises(ValueError, match=r"RTE has no split 'dev': expected one of \['test', 'train', 'val'\]"):
        read_superglue("rte", tmp_path, "dev")


def test_nothing_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere: give the one with RTE's train.jsonl"):
        read_superglue("rte", tmp_path / "nowhere", "train")
    with pytest.raises(FileNotFoundError, match=r"neither .*train.jsonl nor .*RTE.train.jsonl"):
        read_superglue("rte", tmp_path, "train")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], r"train.jsonl has no examples"),
        ([RTE_ROW, "{'premise': 1}"], r"train.jsonl, line 2 is not JSON \(.*\): \"\{'premise'"),
        (["[1, 2]"], r"train.jsonl, line 1 is '\[1, 2\]': expected an object"),
        ([RTE_ROW, "", without(RTE_ROW, "hypothesis")], r"line 3: there is no 'hypothesis'"),
        ([without(RTE_ROW, "idx")], r"line 1: there is no 'idx'"),
        ([without(RTE_ROW, "label")], r"line 1: there is no 'label'"),
        (
            [{**RTE_ROW, "label": "neutral"}],
            r"line 1: the label is 'neutral': expected one of \['entailment', 'not_ent",
        ),
        ([{**RTE_ROW, "label": None}], r"line 1: the label is None"),
        ([{**RTE_ROW, "premise": 3}], r"line 1: 'premise' is 3: expected a text"),
    ],
)
def test_lines_that_cannot_be_read(write, lines, message):
    with pytest.raises(ValueError, match=message):
        read_superglue("rte", write(lines), "train")


def test_labels_outside_of_a_test_set_too(write):
    with pytest.raises(ValueError, match=r"test.jsonl, line 1: the label is 'neutral'"):
        read_superglue("rte", write([{**RTE_ROW, "label": "neutral"}], "test.jsonl"), "test")


def test_not_utf8(tmp_path):
    (tmp_path / "train.jsonl").write_bytes(b'{"premise": "caf\xe9"}')
    with pytest.raises(ValueError, match=r"train.jsonl is not UTF-8: byte 16 "):
        read_superglue("rte", tmp_path, "train")


def test_nested_fields_are_named(golden, write):
    raw = golden["multirc"]["raw"]
    with pytest.raises(ValueError, match=r"line 1: there is no 'questions'"):
        read_superglue("multirc", write([{**raw, "passage": {"text": "a"}}], folder="MultiRC"), "train")
    with pytest.raises(ValueError, match=r"line 1 has not the form of a file of 'multirc'"):
        read_superglue("multirc", write([{**raw, "passage": "a"}], folder="MultiRC"), "train")


def test_values_that_make_no_example(golden, write):
    copa = {**golden["copa"]["raw"], "question": "why"}
    with pytest.raises(ValueError, match=r"line 1: 'question' is 'why': expected one of \['cause', 'effect'\]"):
        read_superglue("copa", write([copa], folder="COPA"), "train")
    record = json.loads(json.dumps(golden["record"]["raw"]))
    record["passage"]["entities"].append({"start": 10**6, "end": 10**6})
    with pytest.raises(ValueError, match=r"line 1: an entity is outside of the passage, which has \d+ letters"):
        read_superglue("record", write([record], folder="ReCoRD"), "train")
    record["passage"]["entities"].pop()
    record["qas"][0]["query"] = "Who?"
    with pytest.raises(ValueError, match=r"line 1: the query 'Who\?' has no @placeholder"):
        read_superglue("record", write([record], folder="ReCoRD"), "train")

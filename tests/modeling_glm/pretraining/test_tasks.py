"""Tasks of a run: published with their files, embedded, and from files of your own."""

import json
from types import SimpleNamespace

import pytest
import yaml

from modeling_glm import GLMTokenizer, PatternVerbalizer
from modeling_glm.pretraining.tasks import load_tasks
from tests.support.original_files import write_vocabulary

REVIEWS = [{"review": f"Review {number} is here", "label": "good" if number % 2 else "bad"} for number in range(20)]
CLOZE = {
    "name": "reviews",
    "train_file": "reviews.jsonl",
    "pattern": "{review|shorten} It was [MASK].",
    "verbalizer": {"good": "great", "bad": "terrible"},
}
SEQ2SEQ = {
    "name": "titles",
    "train_file": "titles.jsonl",
    "pattern": "{text|shorten} Title: [sMASK]",
    "target": "title",
}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory) -> GLMTokenizer:
    return GLMTokenizer.from_pretrained(write_vocabulary("gpt2", tmp_path_factory.mktemp("gpt2")))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with the files of `CLOZE` and `SEQ2SEQ`."""
    monkeypatch.chdir(tmp_path)
    titles = [{"text": f"Text {number} is long", "title": f"Title {number}"} for number in range(20)]
    for name, rows in (("reviews", REVIEWS), ("titles", titles)):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return tmp_path


def test_files_of_your_own(folder, tokenizer):
    (folder / "tasks.yaml").write_text(yaml.safe_dump([CLOZE, SEQ2SEQ]), encoding="utf-8")
    tasks = load_tasks(["tasks.yaml"], tokenizer, 64)
    described = tasks.describe()
    assert list(described) == ["reviews", "titles"]
    assert [described[name]["samples"] for name in described] == [18, 18]  # a tenth is held out
    assert [described[name]["weight"] for name in described] == [0.5, 0.5]
    reviews, titles = (task.train for task in tasks.tasks)
    labels = {tokenizer.decode(reviews.encode(number)["labels"][-1]) for number in range(len(reviews))}
    assert labels == {" great", " terrible"}
    assert tokenizer.decode(titles.encode(0)["input_ids"]).count("Title") == 2
    held_out = tasks.validation(512)
    assert len(held_out) == 4
    assert held_out == tasks.validation(512)
    assert load_tasks([CLOZE, SEQ2SEQ], tokenizer, 64).describe() == described


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "", "title": "x"}, "is empty"),
        ({"text": "word " * 90, "title": "x"}, "tokens"),
    ],
)
def test_a_row_that_cannot_be_encoded_is_found_before_it_is_drawn(folder, tokenizer, row, message):
    with open(folder / "titles.jsonl", "a", encoding="utf-8") as file:
        file.write("\n" + json.dumps(row))
    entry = {**SEQ2SEQ, "pattern": "{text} Title: [sMASK]", "validation_file": "titles.jsonl"}
    with pytest.raises(ValueError, match=f"Task 'titles', sample 20: .*{message}"):
        load_tasks([entry], tokenizer, 64)


def test_validation_is_spread_over_the_tasks(folder, tokenizer):
    settings = {"validation_file": "reviews.jsonl"}
    tasks = load_tasks([{**CLOZE, **settings}, SEQ2SEQ], tokenizer, 64)
    assert len(tasks.validation(8)) == 4 + 2
    assert len(tasks.tasks[0].train) == 20


def test_published_tasks(folder, tokenizer):
    rte = {"premise": "It rained.", "hypothesis": "It was wet.", "label": "entailment", "idx": 0}
    (folder / "RTE").mkdir()
    for name in ("train.jsonl", "val.jsonl"):
        (folder / "RTE" / name).write_text(json.dumps(rte))
    (folder / "yelp").mkdir()
    (folder / "yelp" / "train.csv").write_text('"1","Cold soup."\n' * 11)
    (folder / "giga").mkdir()
    for split in ("train", "val"):
        (folder / "giga" / f"{split}.source").write_text("the ferry stopped .\n")
        (folder / "giga" / f"{split}.target").write_text("ferry stops\n")
    entries = [
        f"rte={folder}",
        {"task": "yelp_full", "data_dir": str(folder / "yelp"), "patterns": [0], "original_spaces": True},
        f"gigaword={folder / 'giga'}",
    ]
    tasks = load_tasks(entries, tokenizer, 48)
    assert {name: task["samples"] for name, task in tasks.describe().items()} == {
        "rte": 5,
        "yelp_full": 11,
        "gigaword": 1,
    }
    texts = [tokenizer.decode(task.train.encode(0)["input_ids"]) for task in tasks.tasks]
    assert '"It was wet" ?[MASK], "It rained."' in texts[0]
    assert "It was[MASK].Cold soup." in texts[1]
    assert "ferry stops" in texts[2]
    # Yelp has no test file here, and copies of an example go to one side: none can be held out.
    assert [task.validation is None for task in tasks.tasks] == [False, True, False]


def test_wsc_asks_in_the_patterns_of_the_originals(folder, tokenizer):
    target = {"span1_text": "Tom", "span2_text": "he", "span1_index": 0, "span2_index": 4}
    rows = [{"text": "Tom fell, as did he.", "target": target, "label": n == 0, "idx": n} for n in range(2)]
    (folder / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (task,) = load_tasks([f"wsc={folder}"], tokenizer, 64).tasks
    assert len(task.train) == 3  # the right example under three patterns


def test_embedded_tasks(tokenizer):
    task = PatternVerbalizer(CLOZE["pattern"], CLOZE["verbalizer"], name="other")
    embedded = {"prose": lambda: SimpleNamespace(task=task, train=REVIEWS, validation=REVIEWS[:3])}
    tasks = load_tasks(["prose"], tokenizer, 64, embedded)
    assert tasks.describe()["prose"]["samples"] == 20
    assert len(tasks.validation(10)) == 3


def test_other_rows_have_another_digest(folder, tokenizer):
    before = load_tasks([CLOZE], tokenizer, 64).describe()
    changed = [{**row, "review": row["review"] + "!"} for row in REVIEWS]
    (folder / "reviews.jsonl").write_text("\n".join(map(json.dumps, changed)), encoding="utf-8")
    after = load_tasks([CLOZE], tokenizer, 64).describe()
    assert before["reviews"]["rows"] != after["reviews"]["rows"]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("sst5", r"Unknown task 'sst5': there are the cloze tasks \['afqmc'"),
        ("rte", r"Task 'rte' needs its files: write rte=FOLDER"),
        ({"task": "rte", "folder": "x"}, r"unknown keys \['folder'\]: expected some of \['task', 'data_dir'"),
        ({**CLOZE, "patern": "x"}, r"unknown keys \['patern'\]"),
        ({"name": "x", "pattern": "{a} [MASK]"}, r"lacks \['train_file'\]: give the name, the file and the pattern"),
        ({**CLOZE, "target": "label"}, r"The task 'reviews' needs either a verbalizer or choices"),
        ({**SEQ2SEQ, "target": None}, r"The task 'titles' needs either a verbalizer or choices"),
        ({**SEQ2SEQ, "target": "summary"}, r"titles.jsonl, line 1 has no 'summary'"),
        ({**CLOZE, "pattern": "{text} [MASK]"}, r"reviews.jsonl, line 1: The pattern asks for a field 'text'"),
        ({**CLOZE, "verbalizer": {"a": "x", "b": "y"}}, r"line 1: Label 'bad' is not one of the task's"),
        ({**SEQ2SEQ, "max_target_length": 64}, r"max_target_length=64 of the task .*: expected 1 to 63"),
        ("missing.txt=", r"Unknown task 'missing.txt'"),
        ("reviews.yaml", r"reviews.yaml does not hold a list of tasks"),
        ("broken.yaml", r"broken.yaml is not YAML"),
        (
            {**CLOZE, "pattern": "{review|shorten} " + "word " * 80 + "[MASK]."},
            r"Task 'reviews', example 0, pattern 0: An example does not fit",
        ),
    ],
)
def test_what_is_refused(folder, tokenizer, entry, message):
    (folder / "reviews.yaml").write_text("a: 1")
    (folder / "broken.yaml").write_text("a: [")
    with pytest.raises(ValueError, match=message):
        load_tasks([entry], tokenizer, 64)


def test_two_tasks_of_one_name_and_missing_files(folder, tokenizer):
    with pytest.raises(ValueError, match=r"Several tasks are called \['reviews'\]"):
        load_tasks([CLOZE, CLOZE], tokenizer, 64)
    for entry in ("nowhere.yaml", f"rte={folder / 'nowhere'}", {**CLOZE, "train_file": "nowhere.csv"}):
        with pytest.raises(FileNotFoundError, match="nowhere"):
            load_tasks([entry], tokenizer, 64)

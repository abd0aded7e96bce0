"""The tasks outside SuperGLUE against the originals': from their raw files to ids, positions, targets and labels."""

import json
import re

import pytest

from modeling_glm import GLMTokenizer, PatternVerbalizer
from modeling_glm.tokenization.cloze.originals import read_original
from modeling_glm.tokenization.cloze.published import read_task
from tests.support.cloze_samples import ClozeSample
from tests.support.original_files import read_golden, write_vocabulary

GOLDEN = json.loads(read_golden("cloze/tasks.json"))
# The patterns whose texts stand in one part: the originals cut such a part from its last field.
ONE_PART = {"agnews", "yahoo", "yelp_full", "yelp_polarity", "sst2", "cola", "qnli", "tnews", "cluewsc"}
PATTERNS = [
    (name, number)
    for name, entry in GOLDEN.items()
    for number, pattern in entry["patterns"].items()
    # RACE has two patterns; another number is the second one again.
    if "error" not in pattern and int(number) in entry["available_patterns"]
]
SAMPLES = [
    (name, number, index)
    for name, number in PATTERNS
    for index in range(len(GOLDEN[name]["patterns"][number]["features"]))
]
# The fields that the originals' examples call by the same name in all tasks.
TEXTS = {
    "mnli": ("premise", "hypothesis"),
    "agnews": ("title", "text"),
    "yelp_polarity": ("text", None),
    "yelp_full": ("text", None),
    "sst2": ("sentence", None),
    "cola": ("sentence", None),
    "mrpc": ("sentence1", "sentence2"),
    "qqp": ("question1", "question2"),
    "qnli": ("question", "sentence"),
    "afqmc": ("sentence1", "sentence2"),
    "tnews": ("sentence", "keywords"),
    "cluewsc": ("text", None),
    "race": ("article", "question"),
}


def ours(name: str) -> str:
    return name.replace("-", "_")


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory) -> dict[str, GLMTokenizer]:
    folder = tmp_path_factory.mktemp("vocabularies")
    return {
        family: GLMTokenizer.from_pretrained(write_vocabulary(family, folder / family))
        for family in {entry["tokenizer"] for entry in GOLDEN.values()}
    }


@pytest.fixture(scope="module")
def examples(tmp_path_factory) -> dict[str, list[dict]]:
    """The examples of every task, read from its raw files."""
    found = {}
    for name, entry in GOLDEN.items():
        folder = tmp_path_factory.mktemp(name)
        for path, text in entry["file"].items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
        found[name] = read_original(ours(name), folder, "train")
    return found


def example_of(name: str, guid: str, examples: dict[str, list[dict]]) -> dict:
    guids = [original["guid"] for original in GOLDEN[name]["processed"]]
    return examples[name][guids.index(guid)]


def without_spaces(text: str) -> str:
    return text.replace(" ", "")


@pytest.mark.parametrize("name", GOLDEN)
def test_examples_are_those_of_the_originals(name, examples):
    task, labels = PatternVerbalizer.from_task(ours(name)), GOLDEN[name]["labels"]
    for example, original in zip(examples[name], GOLDEN[name]["processed"], strict=True):
        assert task.label_index(example) == labels.index(original["label"])
        if name == "yahoo":
            texts = f"{example['question_title']} {example['question_content']}", example["answer"]
        else:
            texts = tuple(field and example[field] for field in TEXTS[ours(name)])
        wanted = (original["text_a"], None if name == "cluewsc" else original["text_b"])
        assert texts == wanted
        if name == "race":
            assert example["options"] == original["meta"]["choices"]


@pytest.mark.parametrize("name", GOLDEN)
def test_as_many_patterns_and_classes(name):
    task = PatternVerbalizer.from_task(ours(name))
    assert len(task.patterns) == len(GOLDEN[name]["available_patterns"])
    assert name == "race" or len(task.labels) == len(GOLDEN[name]["labels"])


@pytest.mark.parametrize(("name", "number"), PATTERNS)
def test_patterns_of_the_originals(name, number, examples):
    original, example = GOLDEN[name]["patterns"][number], examples[name][0]
    task = PatternVerbalizer.from_task(ours(name), original_spaces=True).select([int(number)])
    parts = original["parts_a"] + original["parts_b"]
    assert task.fill(example) == "".join(part.get("text", "[MASK]") for part in parts)
    shortenable = [part["text"] for part in parts if part.get("shortenable")]
    assert [part.text for part in task.parts(example) if part.shortenable] == shortenable
    # A word that opens a piece of SentencePiece stands there as ▁.
    answers = [answer.replace("▁", "") for answer in original["get_answers"]]
    assert [word for (word,) in task.choices(example)] == answers
    if name != "race":
        assert [[word.replace("▁", "") for word in words] for words in original["verbalize"].values()] == (
            task.choices(example)
        )


@pytest.mark.parametrize(("name", "number", "index"), SAMPLES)
def test_samples_of_the_originals(name, number, index, tokenizers, examples):
    original = GOLDEN[name]["patterns"][number]
    sample = original["features"][index]
    task = PatternVerbalizer.from_task(ours(name), original_spaces=True).select([int(number)])
    assert task.end_of_piece == original["is_multi_token"]
    truncation = "last" if ours(name) in ONE_PART else "longest"
    example, tokenizer = example_of(name, sample["guid"], examples), tokenizers[GOLDEN[name]["tokenizer"]]
    question = ClozeSample(sample, sample["seq_length"], task, example, tokenizer, truncation)
    if original["is_multi_token"]:
        question.assert_several_tokens()
    else:
        question.assert_single_tokens()
    assert task.label_index(example) == sample["label"]


@pytest.mark.parametrize(("name", "number"), PATTERNS)
def test_only_spaces_that_the_original_lacks_differ(name, number, examples):
    """
    By default a space stands between a template and a field, where a reader expects it. The originals lack it, or write
    it as a token of its own (MRPC, QQP). The file of the task says so and names the patterns; all others are the same.
    """
    task, number = PatternVerbalizer.from_task(ours(name)), int(number)
    original = PatternVerbalizer.from_task(ours(name), original_spaces=True)
    differing = read_task(ours(name)).get("original_spaces", {"patterns": {}})["patterns"]
    assert (task.patterns[number].text != original.patterns[number].text) == (str(number) in differing)
    for example in examples[name]:
        filled = task.fill(example, number), original.fill(example, number)
        assert without_spaces(filled[0]) == without_spaces(filled[1])
        # No word of the template is glued to the text in ours.
        assert not re.search(r"(was|Just)\[MASK\][.!]\w", filled[0])
        assert task.choices(example, number) == original.choices(example, number)


def test_differences_are_explained():
    noted = {ours(name) for name in GOLDEN if "original_spaces" in read_task(ours(name))}
    assert noted == {"mnli", "agnews", "yahoo", "yelp_full", "yelp_polarity", "mrpc", "qqp"}
    for name in noted:
        assert "space" in read_task(name)["original_spaces"]["note"]

"""The ids, positions and targets of SuperGLUE's cloze questions against those of the originals."""

import json
from functools import cache

import pytest
import torch

from modeling_glm import GLMTokenizer
from modeling_glm.layout_glm import compute_position_ids
from modeling_glm.tokenization import PatternVerbalizer
from modeling_glm.tokenization.cloze.superglue import read_superglue
from tests.support.cloze_samples import ClozeSample, find_positions, pad_row
from tests.support.original_files import read_golden, write_vocabulary

FAMILIES = {"gpt2_10b": "gpt2", "bert_large_uncased": "bert", "roberta_large": "roberta"}
GOLDEN = json.loads(read_golden("superglue/features.json"))
RAW = json.loads(read_golden("superglue/patterns.json"))
CASES = [
    (task, number)
    for task, records in GOLDEN["features"].items()
    for number, record in enumerate(records)
    if (task, record["pattern_id"]) != ("copa", 2)  # see test_copa_with_the_choices_in_the_text
]
# The originals write the pattern in two parts and take from the longer one, or within a part from its last field.
TWO_PARTS = {("cb", 0), ("cb", 1), ("cb", 2), ("cb", 3), ("rte", 0), ("rte", 1), ("rte", 2), ("rte", 3)}


def form_of(task: str, record: dict) -> str:
    if record.get("fast_decode"):
        return "decoded apart"
    if task == "wsc" and record["loss_func"] == "cross_entropy":
        return "generated"
    return "several tokens" if record["multi_token"] else "one token"


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory) -> dict[str, GLMTokenizer]:
    folder = tmp_path_factory.mktemp("vocabularies")
    return {
        name: GLMTokenizer.from_pretrained(write_vocabulary(family, folder / family))
        for name, family in FAMILIES.items()
    }


@cache
def example_of(task: str, folder) -> dict:
    (folder / "train.jsonl").write_text(json.dumps(RAW[task]["raw"]), encoding="utf-8")
    return read_superglue(task, folder, "train")[0]


class Question(ClozeSample):
    """A record of the originals, and how we encode its example."""

    def __init__(self, task_name: str, number: int, tokenizers: dict[str, GLMTokenizer], folder):
        record = GOLDEN["features"][task_name][number]
        task = PatternVerbalizer.from_task(task_name).select([record["pattern_id"]])
        task.end_of_piece = record["multi_token"]
        truncation = "longest" if (task_name, record["pattern_id"]) in TWO_PARTS else "last"
        example, tokenizer = example_of(task_name, folder), tokenizers[record["tokenizer"]]
        super().__init__(record["sample"], record["seq_length"], task, example, tokenizer, truncation)


def cases(form: str) -> pytest.MarkDecorator:
    chosen = [(task, number) for task, number in CASES if form_of(task, GOLDEN["features"][task][number]) == form]
    return pytest.mark.parametrize(("task_name", "number"), chosen)


@cases("one token")
def test_choices_of_one_token(task_name, number, tokenizers, tmp_path):
    Question(task_name, number, tokenizers, tmp_path).assert_single_tokens()


@cases("several tokens")
def test_choices_of_several_tokens(task_name, number, tokenizers, tmp_path):
    Question(task_name, number, tokenizers, tmp_path).assert_several_tokens()


@cases("generated")
def test_words_to_be_generated(task_name, number, tokenizers, tmp_path):
    """Of WSC, the right words alone."""
    question = Question(task_name, number, tokenizers, tmp_path)
    sample, choice = question.sample, question.choices[0]
    question.assert_input(choice, sample["text"], sample["attention_mask"], sample["position_id"])
    question.assert_scored(choice, sample["target"], sample["loss_mask"])


@cases("decoded apart")
def test_choices_that_are_decoded_apart(task_name, number, tokenizers, tmp_path):
    """The context once, and each choice with its own positions."""
    question = Question(task_name, number, tokenizers, tmp_path)
    sample, config = question.sample, question.config
    ids = question.context(question.choices[0])
    assert sample["text"] == pad_row(ids, [], question.length, question.tokenizer.pad_token_id)
    assert sample["position"] == find_positions(sample["text"], len(ids), config)
    for index, choice in enumerate(question.choices):
        fed = [config.sop_token_id, *choice[:-1]]
        assert sample["dec_text"][index][: len(fed)] == fed
        of_fed = compute_position_ids(torch.tensor([ids + fed]), config)[0, :, len(ids) :].tolist()
        assert [line[: len(fed)] for line in sample["dec_position"][index]] == of_fed
        assert sample["dec_target"][index][: len(choice)] == choice


# WSC's number in the originals is not that of its choice.
@pytest.mark.parametrize(("task_name", "number"), [case for case in CASES if case[0] != "wsc"])
def test_labels(task_name, number, tokenizers, tmp_path):
    question = Question(task_name, number, tokenizers, tmp_path)
    assert question.task.label_index(question.example) == question.sample["label"]


@pytest.mark.parametrize(
    "record", [record for record in GOLDEN["features"]["copa"] if record["pattern_id"] == 2], ids=lambda record: "copa"
)
def test_copa_with_the_choices_in_the_text(record, tokenizers, tmp_path):
    """
    The originals encode COPA's pattern 2 otherwise than they write it: a text for every choice, in which the blank is the
    connective. As a pattern of its own it has the same ids; the task's pattern 2 is what they write.
    """
    tokenizer, sample = tokenizers[record["tokenizer"]], record["sample"]
    task = PatternVerbalizer(
        '"{choice1|bare|lower_first}" or "{choice2|bare|lower_first}"?{premise|bare|shorten} [MASK] {choice|bare|lower_first}',
        {"cause": "because", "effect": "so"},
        label_field="question",
        end_of_piece=True,
    )
    example = example_of("copa", tmp_path)
    for index, name in enumerate(("choice1", "choice2")):
        encoded = task.encode({**example, "choice": example[name]}, tokenizer)
        (context,), (words,) = encoded["input_ids"], encoded["choice_ids"]
        right = words[encoded["labels"]][0]
        fed = [tokenizer.convert_tokens_to_ids(tokenizer.sop_token), *right[:-1]]
        assert sample["text"][index] == pad_row(context, fed, record["seq_length"], tokenizer.pad_token_id)
        assert sample["target"][index][len(context) : len(context) + len(right)] == right

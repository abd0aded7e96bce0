"""The ids, positions and targets of SuperGLUE's cloze questions against those of the originals."""

import json
from functools import cache

import pytest
import torch

from modeling_glm import GLMConfig, GLMTokenizer
from modeling_glm.layout_glm import compute_position_ids
from modeling_glm.tokenization import PatternVerbalizer
from modeling_glm.tokenization.cloze.superglue import read_superglue
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


def row(context: list[int], fed: list[int], length: int, pad: int) -> list[int]:
    ids = context + fed
    return ids + [pad] * (length - len(ids))


def positions(ids: list[int], size: int, config: GLMConfig) -> list[list[int]]:
    """Those that the model computes; the originals have zeros in the padding."""
    found = compute_position_ids(torch.tensor([ids[:size]]), config)[0].tolist()
    return [line + [0] * (len(ids) - size) for line in found]


@pytest.mark.parametrize(("task_name", "number"), CASES)
def test_features(task_name, number, tokenizers, tmp_path):
    record = GOLDEN["features"][task_name][number]
    sample, length, pattern = record["sample"], record["seq_length"], record["pattern_id"]
    tokenizer = tokenizers[record["tokenizer"]]
    config = GLMConfig(**tokenizer.special_token_ids, vocab_size=len(tokenizer))
    task = PatternVerbalizer.from_task(task_name).select([pattern])
    task.end_of_piece = record["multi_token"]
    truncation = "longest" if (task_name, pattern) in TWO_PARTS else "last"
    example = example_of(task_name, tmp_path)
    choices = [words[0] for words in task.encode(example, tokenizer)["choice_ids"][0]]
    longest = max(map(len, choices))

    def context(choice: list[int]) -> list[int]:
        """The originals cut the context for every choice on its own, here it is cut for the longest."""
        limit = length - len(choice) + longest
        return task.encode(example, tokenizer, max_length=limit, truncation=truncation)["input_ids"][0]

    def expected_row(choice: list[int], size: int = length) -> list[int]:
        return row(context(choice), [config.sop_token_id, *choice[:-1]], size, tokenizer.pad_token_id)

    if record.get("fast_decode"):
        ids = context(choices[0])
        assert sample["text"] == row(ids, [], length, tokenizer.pad_token_id)
        assert sample["position"] == positions(sample["text"], len(ids), config)
        for index, choice in enumerate(choices):
            fed = [config.sop_token_id, *choice[:-1]]
            assert sample["dec_text"][index][: len(fed)] == fed
            of_fed = compute_position_ids(torch.tensor([ids + fed]), config)[0, :, len(ids) :].tolist()
            assert [line[: len(fed)] for line in sample["dec_position"][index]] == of_fed
            assert sample["dec_target"][index][: len(choice)] == choice
        return

    if task_name == "wsc" and record["loss_func"] == "cross_entropy":  # the right words alone, to be generated
        samples = [{**sample, "position": sample["position_id"], "mask": sample["attention_mask"]}]
        choices = choices[:1]
    elif record["multi_token"]:
        names = ("text", "position", "mask", "target", "logit_mask")
        samples = [{name: sample[name][index] for name in names} for index in range(len(sample["text"]))]
        assert len(samples) == len(choices)
    else:
        assert [choice for (choice,) in choices] == sample["target"]
        assert [index for index, on in enumerate(sample["logit_mask"]) if on] == [sample["mask"]]
        choices, samples = choices[:1], [sample]
    for choice, expected in zip(choices, samples, strict=True):
        ids = context(choice)
        assert expected["text"] == expected_row(choice)
        assert expected["mask"] == len(ids)
        assert expected["position"] == positions(expected["text"], len(ids) + len(choice), config)
        if record["multi_token"]:
            scored = expected.get("logit_mask", expected.get("loss_mask"))
            assert [token for token, on in zip(expected["target"], scored, strict=True) if on] == choice
            assert [index for index, on in enumerate(scored) if on] == list(range(len(ids), len(ids) + len(choice)))
    if task_name != "wsc":
        assert task.label_index(example) == sample["label"]


def test_copa_with_the_choices_in_the_text(tokenizers, tmp_path):
    """
    The originals encode COPA's pattern 2 otherwise than they write it: a text for every choice, in which the blank is the
    connective. As a pattern of its own it has the same ids; the task's pattern 2 is what they write.
    """
    (record,) = (record for record in GOLDEN["features"]["copa"] if record["pattern_id"] == 2)
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
        assert sample["text"][index] == row(context, fed, record["seq_length"], tokenizer.pad_token_id)
        assert sample["target"][index][len(context) : len(context) + len(right)] == right

"""Ids, losses and gradients of the originals' seq2seq code."""

import json
import random
from functools import cache
from typing import Any

import pytest
import torch
from transformers.trainer_pt_utils import LabelSmoother

from modeling_glm import GLMConfig, GLMForConditionalGeneration, GLMTokenizer
from modeling_glm.layout_glm import compute_position_ids
from modeling_glm.tokenization.seq2seq.word_blanks import blank_words
from tests.support.original_files import read_golden, write_vocabulary
from tests.support.original_tasks import make_collator, make_row, read_flag
from tests.support.paths import GOLDEN_MODELS

FEATURES = json.loads(read_golden("seq2seq/features.json"))
LOSSES = json.loads(read_golden("seq2seq/loss.json"))
# With `--task-mask` the original finds no blank in the task "blank": a fault that is not copied.
ENCODED = [case for case in FEATURES["cases"] if "samples" in case and "--task-mask" not in case["flags"]]
TRAINING = [case for case in ENCODED if {"target", "error"} & set(case["samples"][0])]
PROMPTS = [case for case in ENCODED if case not in TRAINING]

# All files of a set of golden data are made with one seed.
SEED = int(read_flag(FEATURES["cases"][0]["flags"], "--seed"))


def case_id(case: dict[str, Any]) -> str:
    names = [str(case.get(key, "")) for key in ("task", "tokenizer", "model", "split", "src_seq_length")]
    flags = [flag.strip("-") for flag in case["flags"] if flag != "--seed"]
    return "-".join(filter(None, [*names, *flags]))


@pytest.fixture(scope="module")
def of_full_family(tmp_path_factory):
    """The full vocabularies of the golden data, not the copies in the repository."""

    @cache
    def load(family: str) -> GLMTokenizer:
        return GLMTokenizer.from_pretrained(write_vocabulary(family, tmp_path_factory.mktemp(family)))

    return load


def make_case(of_full_family, case: dict[str, Any]):
    family, _, kind = case["tokenizer"].partition("_")
    lengths = case["src_seq_length"], case["tgt_seq_length"]
    return make_collator(of_full_family(family), case["task"], case["flags"], lengths, task_masks=kind != "notask")


def blank_out(texts: list[str], flags: list[str]) -> list[dict[str, Any]]:
    """Draw the blanks of the task "blank", in the order of the texts."""
    ratio, draws = float(read_flag(flags, "--blank-maskratio")), random.Random(SEED)
    return [
        {"source": source, "target": answers}
        for source, answers in (blank_words(text, ratio, draws) for text in texts)
    ]


def rows_of(case: dict[str, Any]) -> list[dict[str, Any]]:
    if case["task"] == "blank" and case in TRAINING:
        return blank_out([sample["text_a"] for sample in case["samples"]], case["flags"])
    return [make_row(case["task"], sample) for sample in case["samples"]]


@pytest.mark.parametrize("case", TRAINING, ids=case_id)
def test_training_samples(of_full_family, case):
    collator = make_case(of_full_family, case)
    pairs = list(zip(rows_of(case), case["samples"], strict=True))
    for row, expected in [pair for pair in pairs if "error" not in pair[1]]:
        found = collator.encode(row)
        assert found["input_ids"] == expected["text"]
        assert found["position_ids"] == expected["position_id"]
        assert [int(label != -100) for label in found["labels"]] == expected["loss_mask"]
        assert [label for label in found["labels"] if label != -100] == [
            token for token, counts in zip(expected["target"], expected["loss_mask"], strict=True) if counts
        ]
        separator = case["src_seq_length"]
        shown = expected.get("attention_mask_rows", ["1" * separator])[0][:separator]
        assert found["attention_mask"][:separator] == [int(bit) for bit in shown]
        hidden = [label for mask, label in zip(found["attention_mask"], found["labels"], strict=True) if not mask]
        assert set(hidden) <= {-100}
    for row in [row for row, sample in pairs if "error" in sample]:
        with pytest.raises(ValueError, match=r"does not fit.*Raise max_source_length"):
            collator.encode(row)


@pytest.mark.parametrize("case", PROMPTS, ids=case_id)
def test_prompts(of_full_family, case):
    collator = make_case(of_full_family, case)
    tokenizer = collator.tokenizer
    rows = [{**row, "target": None} for row in rows_of(case)]
    prompts = collator.prompts(rows)
    assert prompts["input_ids"].tolist() == collator.prompts(rows_of(case))["input_ids"].tolist()
    config = GLMConfig(vocab_size=len(tokenizer), **tokenizer.special_token_ids)
    for row, prompt, mask, expected in zip(rows, *prompts.values(), case["samples"], strict=True):
        *context, start = expected["text"]
        seen = expected.get("attention_mask_rows", ["1" * len(context)])[0]
        shown = [token for token, bit in zip(context, seen, strict=False) if bit == "1"]
        assert prompt[mask == 1].tolist() == shown == collator.encode_prompt(row)
        # `generate` counts as the originals do.
        last = compute_position_ids(torch.tensor([[*shown, start]]), config)[0, :, -1].tolist()
        assert last == [positions[-1] for positions in expected["position_id"]]


def rows_of_loss(case: dict[str, Any]) -> list[dict[str, Any]]:
    """Read the rows of a training batch from the files of its task."""
    task, files = case["task"], LOSSES["files"]
    if task == "blank":
        return blank_out(files["blank"]["train.txt"].splitlines(), case["flags"])
    folder = files["extraction" if task == "extraction" else "seq2seq"]
    lines = [folder[f"train.{end}"].splitlines() for end in ("source", "target")]
    return [
        {"source": source, "target": target.split("|") if task == "extraction" else target}
        for source, target in zip(*lines, strict=True)
    ]


@pytest.mark.parametrize("case", LOSSES["cases"], ids=case_id)
def test_loss_and_gradients(case):
    folder = GOLDEN_MODELS / case["model"]
    tokenizer = GLMTokenizer.from_pretrained(folder)
    lengths = tuple(int(read_flag(case["flags"], f"--{part}-seq-length")) for part in ("src", "tgt"))
    collator = make_collator(tokenizer, case["task"], case["flags"], lengths)
    batch = collator(rows_of_loss(case))
    assert batch["input_ids"].tolist() == [sample["text"] for sample in case["inputs"]]
    assert batch["position_ids"].tolist() == [sample["position_id"] for sample in case["inputs"]]
    model = GLMForConditionalGeneration.from_pretrained(folder).eval()
    outputs = model(**batch)
    loss = outputs.loss
    if "--label-smoothing" in case["flags"]:
        smoothing = LabelSmoother(epsilon=float(read_flag(case["flags"], "--label-smoothing")))
        loss = smoothing({"logits": outputs.logits}, batch["labels"])
    assert loss.item() == pytest.approx(case["loss"], abs=1e-5)
    loss.backward()
    found = {name: parameter.grad.norm().item() for name, parameter in model.glm.named_parameters()}
    assert found == {name: pytest.approx(norm, rel=1e-4, abs=1e-6) for name, norm in case["grad_norms"].items()}
    total = torch.tensor(list(found.values())).norm().item()
    assert total == pytest.approx(case["grad_norm_total"], rel=1e-4)

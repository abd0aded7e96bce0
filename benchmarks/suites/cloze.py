"""Time fine-tuning the embedded model on cloze questions against one row for each choice, and against random batches."""

import random
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from transformers.trainer_pt_utils import LengthGroupedSampler

from modeling_glm import DataCollatorForCloze, GLMForMultipleChoice, GLMTokenizer, PatternVerbalizer

from ..harness.embedded import EMBEDDED, load_tokenizer, training_texts
from ..harness.measuring import take_turns
from ..harness.results import Result, Speed, Value
from ..harness.settings import RunSettings

CHOICES = 4
TASK = PatternVerbalizer("{text|shorten} [MASK]", choices="{words}", label_field="right", integer_labels="place")
Batch = dict[str, torch.Tensor]


def make_examples(count: int, longest: int) -> list[dict[str, Any]]:
    """Return texts of the embedded corpus without their last word, which is one of four choices."""
    generator = random.Random(0)
    texts = [text.split() for text in training_texts() if 4 <= len(text.split()) <= longest]
    examples = []
    for words in generator.sample(texts, count):
        others = [generator.choice(texts)[-1] for _ in range(CHOICES - 1)]
        examples.append({"text": " ".join(words[:-1]), "words": [words[-1], *others], "right": 0})
    return examples


def one_row_a_choice(batch: Batch, sop_token_id: int, padding: int) -> Batch:
    """Put every choice of a batch of `DataCollatorForCloze` into a row of its own, behind a copy of the context."""
    rows, count, _ = batch["choice_ids"].shape
    contexts, mask = (
        batch[name][:, None].expand(-1, count, -1).flatten(0, 1) for name in ("input_ids", "attention_mask")
    )
    choices = batch["choice_ids"].flatten(0, 1)
    starts = choices.new_full((len(choices), 1), sop_token_id)
    ids = torch.cat((contexts, starts, choices.clamp(min=0).masked_fill(choices < 0, padding)), dim=1)
    mask = torch.cat((mask, torch.ones_like(starts), (choices >= 0).long()), dim=1)
    return {
        "input_ids": ids.view(rows, count, -1),
        "attention_mask": mask.view(rows, count, -1),
        "labels": batch["labels"],
    }


def train(model: GLMForMultipleChoice, batches: Sequence[Batch]) -> float:
    """Train for an epoch and return the summed loss. The learning rate is too small to change anything."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-12)
    total = 0.0
    for batch in batches:
        loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        total += float(loss.detach())
    return total


def run(settings: RunSettings) -> list[Result]:
    """
    Compare an epoch in three ways.

    Raises:
        RuntimeError: If the losses of one row for each choice are others.
    """
    tokenizer: GLMTokenizer = load_tokenizer()
    # SDPA's backward pass is slow on CPUs.
    model = GLMForMultipleChoice.from_pretrained(EMBEDDED, dtype=torch.float32, attn_implementation="eager").eval()
    collator = DataCollatorForCloze(tokenizer, TASK)
    count, longest, size = (24, 16, 3) if settings.quick else (480, 80, 16)
    rows = collator.encode(make_examples(count, longest))
    generator = torch.Generator().manual_seed(0)
    grouped = LengthGroupedSampler(size, lengths=[row["length"] for row in rows], generator=generator)
    batches = {
        name: [collator([rows[number] for number in order[at : at + size]]) for at in range(0, len(order), size)]
        for name, order in {"random": list(range(len(rows))), "grouped": list(grouped)}.items()
    }
    naive = [one_row_a_choice(batch, tokenizer.sop_token_id, tokenizer.pad_token_id) for batch in batches["random"]]
    runs = {
        "naive": partial(train, model, naive),
        "random": partial(train, model, batches["random"]),
        "grouped": partial(train, model, batches["grouped"]),
    }
    losses = {name: run() for name, run in runs.items()}
    if abs(losses["naive"] - losses["random"]) > 1e-4 * abs(losses["naive"]):
        raise RuntimeError(f"The losses of the two layouts differ: {losses}.")
    seconds = take_turns(runs, settings.rounds, warm_up=False)
    work = f"fine-tune glm-tiny on {len(rows)} questions with {CHOICES} choices"
    peer = "one row for each choice, random batches"
    fastest = Speed.from_seconds(f"{work}, similar lengths in a batch", peer, seconds["grouped"], seconds["naive"])
    return [
        fastest,
        Speed.from_seconds(f"{work}, random batches", peer, seconds["random"], seconds["naive"]),
        Value(work=f"{work}, similar lengths in a batch", value=len(rows) / fastest.ours, unit="examples per second"),
        *(
            Value(work=f"padding, {name} batches", value=_padding(of_name), unit="share")
            for name, of_name in batches.items()
        ),
    ]


def _padding(batches: Sequence[Batch]) -> float:
    """Return the share of padding among the places of all contexts."""
    masks = [batch["attention_mask"] for batch in batches]
    return 1 - sum(int(mask.sum()) for mask in masks) / sum(mask.numel() for mask in masks)

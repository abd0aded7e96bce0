"""Measure how well a GLM fills blanks in held-out documents, and compare it with trivial baselines."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch

from modeling_glm.utils.inference import answer_blanks

from ..build import build_splits
from .baselines import evaluate_baselines
from .blanks import MASK, HeldOutBlank, make_blanks


@dataclass(frozen=True, kw_only=True)
class HeldOutRow:
    """
    The results of a model or a baseline.

    Attributes:
        name: Its name.
        all, facts, prose: Exact match in all blanks, in those of facts, and in those of prose.
        loss: Cross entropy of the right answers in nats per token.
    """

    name: str
    all: float
    facts: float
    prose: float
    loss: float


def measure_held_out(model, tokenizer, count: int, seed: int = 1) -> list[HeldOutRow]:
    """
    Measure the baselines and a model on `count` blanks in held-out documents.

    Returns:
        One row per baseline, and the row of the model at the end.
    """
    train, held_out = build_splits()
    blanks = make_blanks(held_out, count=count, seed=seed)
    results = evaluate_baselines(train, blanks, lambda text: tokenizer.encode(text, add_special_tokens=False))
    answers = answer_blanks(model, tokenizer, [blank.text for blank in blanks], max_new_tokens_per_blank=24)
    right = [blank.is_right(answer) for (answer, *_), blank in zip(answers, blanks, strict=True)]
    results["GLM"] = right, blank_loss(model, tokenizer, blanks)
    prose = [blank.family == "prose" for blank in blanks]
    return [
        HeldOutRow(
            name=name,
            all=_mean(hits),
            facts=_mean(hit for hit, is_prose in zip(hits, prose, strict=True) if not is_prose),
            prose=_mean(hit for hit, is_prose in zip(hits, prose, strict=True) if is_prose),
            loss=loss,
        )
        for name, (hits, loss) in results.items()
    ]


def error_ratio(rows: list[HeldOutRow]) -> float:
    """Return the errors of the model as a share of the errors of the best baseline."""
    *baselines, model = rows
    return (1 - model.all) / (1 - max(row.all for row in baselines))


@torch.inference_mode()
def blank_loss(model, tokenizer, blanks: list[HeldOutBlank], batch_size: int = 64) -> float:
    """Return the cross entropy of the right answers in nats per token, with the end of each answer."""
    model.eval()
    total, tokens = 0.0, 0
    for start in range(0, len(blanks), batch_size):
        chunk = blanks[start : start + batch_size]
        inputs = tokenizer([blank.text for blank in chunk], return_tensors="pt", padding=True)
        # A word inside a text begins with the space before it.
        targets = [" " * blank.text.partition(MASK)[0].endswith(" ") + blank.answer for blank in chunk]
        batch = tokenizer.build_inputs_for_generation(inputs, targets=targets)
        count = int((batch["labels"] != -100).sum())
        total += model(**batch).loss.item() * count
        tokens += count
    return total / tokens


def _mean(values: Iterable[float]) -> float:
    values = list(values)
    return sum(values) / len(values) if values else float("nan")

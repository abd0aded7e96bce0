"""Train a model of the ablation."""

import statistics
import sys
from collections.abc import Iterator
from itertools import count, islice
from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.optimization import get_cosine_with_min_lr_schedule_with_warmup

from .variants import Batch, Variant, compute_loss


def draw_texts(texts: list[list[int]], seed: int) -> Iterator[dict[str, Any]]:
    """Yield the texts in random order, epoch after epoch, with a number for the collator."""
    generator, numbers = torch.Generator().manual_seed(seed), count()
    while True:
        for index in torch.randperm(len(texts), generator=generator).tolist():
            yield {"input_ids": texts[index], "sample_id": next(numbers)}


def train(
    model: PreTrainedModel,
    variant: Variant,
    batches: Iterator[Batch],
    *,
    steps: int,
    learning_rate: float,
    bf16: bool,
    name: str = "",
) -> float:
    """Train a model and return the mean loss of the last tenth of the steps. `name` begins each line of progress."""
    groups = [
        {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": 0.1},
        {"params": [p for p in model.parameters() if p.ndim <= 1], "weight_decay": 0.0},  # biases and LayerNorm
    ]
    optimizer = torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.98), eps=1e-6)
    schedule = get_cosine_with_min_lr_schedule_with_warmup(
        optimizer, num_warmup_steps=round(0.05 * steps), num_training_steps=steps, min_lr_rate=0.05
    )
    tenth, losses = max(1, steps // 10), []
    model.train()
    for step, batch in enumerate(islice(batches, steps), start=1):
        with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
            loss = compute_loss(model, batch, variant)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if step % tenth == 0:
            print(f"{name}: step {step}, loss {statistics.mean(losses[-tenth:]):.3f}", file=sys.stderr)
    return statistics.mean(losses[-tenth:])

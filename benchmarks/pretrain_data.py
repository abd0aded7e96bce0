#!/usr/bin/env python
"""
How fast texts become pretraining batches: the collator against the naive reference of the tests, one token at a time in
plain Python, and against one training step; and how much of the batches is padding.

    OMP_NUM_THREADS=1 python benchmarks/pretrain_data.py
    OMP_NUM_THREADS=1 python benchmarks/pretrain_data.py --length 128 --batch 256

Tokens are those of the texts. Every variant handles the same texts in turn, and the median of the rounds counts. The
reference draws the same numbers and makes the same samples (tests/tokenization/test_span_corruption.py), and its rows
are padded and made tensors as the collator's are.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from modeling_glm import DataCollatorForBlankInfilling, GLMConfig, GLMForConditionalGeneration, GLMTokenizer

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from tests.support import naive_infilling  # noqa: E402

MIXTURES = {
    "token": {"token": 1.0},
    "sentence": {"sentence": 1.0},
    "document": {"document": 1.0},
    "mixture of GLM-10B": {"token": 0.5, "sentence": 0.3, "document": 0.2},
}
STEP_TEXTS = 4


def naive_batch(features: list[dict], collator: DataCollatorForBlankInfilling) -> dict[str, torch.Tensor]:
    """The same batch, text by text."""
    rows = [naive_infilling.corrupt(feature["input_ids"], feature["sample_id"], collator) for feature in features]
    length = max(len(row["input_ids"]) for row in rows)
    fill = [length - len(row["input_ids"]) for row in rows]
    return {
        "input_ids": torch.tensor([row["input_ids"] + [0] * n for row, n in zip(rows, fill, strict=True)]),
        "labels": torch.tensor([row["labels"] + [-100] * n for row, n in zip(rows, fill, strict=True)]),
        "position_ids": torch.tensor(
            [[part + [0] * n for part in row["position_ids"]] for row, n in zip(rows, fill, strict=True)]
        ),
        "attention_mask": torch.tensor([[1] * (length - n) + [0] * n for n in fill]),
    }


def measure(variants: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of every variant, measured in turn."""
    times: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, variant in variants.items():
            start = time.perf_counter()
            variant()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def step_seconds(collator: DataCollatorForBlankInfilling, features: list[dict]) -> float:
    """Forward and backward pass of GLM-Base on a batch."""
    config = GLMConfig.from_preset("glm-base", attn_implementation="eager")
    model = GLMForConditionalGeneration(config).train()
    batch = collator(features)
    times = []
    for _ in range(2):
        start = time.perf_counter()
        model(**batch).loss.backward()
        times.append(time.perf_counter() - start)
        model.zero_grad()
    return min(times)


def padding_share(tokenizer: GLMTokenizer, packed_length: int | None, batches: int = 200) -> float:
    """What is padding in batches of 48 texts of the embedded corpus in random order."""
    sys.path.insert(0, str(ROOT / "examples"))
    from corpus import build_splits

    texts = tokenizer([document.text for document in build_splits()[0]])["input_ids"]
    collator = DataCollatorForBlankInfilling(
        tokenizer,
        objectives={"token": 0.75, "sentence": 0.1, "document": 0.15},
        mask_ratio=0.25,
        max_length=256,
        packed_length=packed_length,
        pad_to_multiple_of=8,
    )
    generator = np.random.default_rng(0)
    tokens = places = 0
    for _ in range(batches):
        chosen = generator.integers(0, len(texts), 48).tolist()
        mask = collator([{"input_ids": texts[i], "sample_id": i} for i in chosen])["attention_mask"]
        tokens, places = tokens + int(mask.sum()), places + mask.numel()
    return 1 - tokens / places


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--length", type=int, default=512, help="tokens of a text")
    parser.add_argument("--batch", type=int, default=64, help="texts of a batch")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--no-step", action="store_true", help="leave the training step out")
    options = parser.parse_args()

    tokenizer = GLMTokenizer.from_pretrained(ROOT / "examples" / "glm-tiny")
    full_stop = tokenizer.convert_tokens_to_ids(".")
    generator = np.random.default_rng(0)
    features = []
    for number in range(options.batch):
        ids = generator.integers(300, len(tokenizer), options.length - 2)
        ids[generator.random(len(ids)) < 1 / 20] = full_stop
        features.append(
            {"input_ids": [tokenizer.cls_token_id, *ids.tolist(), tokenizer.eos_token_id], "sample_id": number}
        )
    arrays = [{**feature, "input_ids": np.array(feature["input_ids"])} for feature in features]

    tokens = options.length * options.batch
    print(f"{options.batch} texts of {options.length} tokens, {torch.get_num_threads()} thread(s)\n")
    print("| objectives | collator, tokens/s | packed, tokens/s | naive reference, tokens/s | times as fast |")
    print("|---|---|---|---|---|")
    for name, objectives in MIXTURES.items():
        settings = {"objectives": objectives, "max_length": options.length}
        plain = DataCollatorForBlankInfilling(tokenizer, **settings)
        packed = DataCollatorForBlankInfilling(tokenizer, packed_length=4 * options.length, **settings)
        found = measure(
            {
                "plain": partial(plain, arrays),
                "packed": partial(packed, arrays),
                "naive": partial(naive_batch, features, plain),
            },
            options.rounds,
        )
        speeds = [f"{tokens / found[variant]:,.0f}" for variant in ("plain", "packed", "naive")]
        print(f"| {name} | {' | '.join(speeds)} | {found['naive'] / found['plain']:.1f} |", flush=True)
    shares = {length: padding_share(tokenizer, length) for length in (None, 128, 512)}
    print(
        "\nPadding on the embedded corpus: "
        + ", ".join(
            f"{share:.1%} " + ("without packing" if length is None else f"in rows of {length}")
            for length, share in shares.items()
        )
    )
    if not options.no_step:
        plain = DataCollatorForBlankInfilling(tokenizer, max_length=options.length)
        few = arrays[:STEP_TEXTS]  # what a step of them all keeps for its backward pass may be more than the memory
        seconds = measure({"batch": partial(plain, few)}, options.rounds)["batch"]
        step = step_seconds(plain, few)
        print(
            f"\nA batch of {len(few)} takes {seconds * 1e3:.2f} ms, a step of GLM-Base on it {step:.2f} s: {seconds / step:.3%}."
        )


if __name__ == "__main__":
    main()

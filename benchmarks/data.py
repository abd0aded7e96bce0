"""Text to ids, and ids to batches: tokens per second on one core, against what people would use else."""

import sys
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerFast

from modeling_glm import DataCollatorForBlankInfilling, GLMTokenizer

from .measuring import ROOT, Line, compare, take_turns
from .pretrain_data import naive_batch
from .settings import Settings


def run(settings: Settings) -> list[Line]:
    tokenizer = GLMTokenizer.from_pretrained(ROOT / "examples" / "glm-tiny")
    sys.path.insert(0, str(ROOT / "examples"))
    from corpus import build_splits

    documents = [document.text for document in build_splits()[0][: 200 if settings.quick else 5000]]
    return [*_tokenization(settings, tokenizer, documents), *_batches(settings, tokenizer, documents)]


def _tokenization(settings: Settings, tokenizer: GLMTokenizer, texts: list[str]) -> list[Line]:
    plain = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer)
    tokens = sum(map(len, tokenizer(texts)["input_ids"]))
    seconds = take_turns({"ours": lambda: tokenizer(texts), "plain": lambda: plain(texts)}, settings.rounds)
    made: dict[str, Any] = compare(seconds, "ours", "plain")
    return [
        Line(
            suite="data",
            work=f"tokenization of {len(texts)} texts",
            peer="PreTrainedTokenizerFast",
            note=f"{tokens / made['ours'] / 1e6:.2f} million tokens/s",
            **made,
        )
    ]


def _batches(settings: Settings, tokenizer: GLMTokenizer, texts: list[str]) -> list[Line]:
    collator = DataCollatorForBlankInfilling(tokenizer)
    ids = np.concatenate([tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts])
    size = 64 if settings.quick else 512
    features = [
        {"input_ids": ids[n * size : (n + 1) * size].tolist(), "sample_id": n}
        for n in range(min(16 if settings.quick else 64, len(ids) // size))
    ]
    seconds = take_turns(
        {"ours": lambda: collator(features), "naive": lambda: naive_batch(features, collator)}, settings.rounds
    )
    made: dict[str, Any] = compare(seconds, "ours", "naive")
    rate = size * len(features) / made["ours"]
    return [
        Line(
            suite="data",
            work=f"batch of {len(features)} x {size} tokens with blanks",
            peer="plain Python",
            goal=None if settings.quick else 10.0,
            note=f"{rate / 1e6:.2f} million tokens/s",
            **made,
        )
    ]

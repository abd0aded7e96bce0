"""Time tokenization and the collator, and measure how much of a packed batch is padding."""

from functools import partial

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from modeling_glm import DataCollatorForBlankInfilling, GLMTokenizer

from ..harness import naive_infilling
from ..harness.embedded import load_tokenizer, training_texts
from ..harness.measuring import take_turns
from ..harness.results import Result, Speed, Value
from ..harness.settings import RunSettings

MIXTURE = {"token": 0.75, "sentence": 0.1, "document": 0.15}  # that of examples/03_pretrain.py


def run(settings: RunSettings) -> list[Result]:
    tokenizer = load_tokenizer()
    texts = training_texts(200 if settings.quick else 5000)
    return [
        *compare_tokenizers(settings, tokenizer, texts),
        *compare_collators(settings, tokenizer, texts),
        *measure_padding(tokenizer, texts if settings.quick else training_texts(), 2 if settings.quick else 200),
    ]


def compare_tokenizers(settings: RunSettings, tokenizer: GLMTokenizer, texts: list[str]) -> list[Result]:
    """Compare the tokenizer with the plain class of the library on the same vocabulary."""
    plain = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer)
    tokens = sum(map(len, tokenizer(texts)["input_ids"]))
    seconds = take_turns({"ours": lambda: tokenizer(texts), "plain": lambda: plain(texts)}, settings.rounds)
    work = f"tokenize {len(texts)} texts"
    speed = Speed.from_seconds(work, "PreTrainedTokenizerFast", seconds["ours"], seconds["plain"])
    return [speed, Value(work=work, value=tokens / speed.ours / 1e6, unit="million tokens per second")]


def compare_collators(settings: RunSettings, tokenizer: GLMTokenizer, texts: list[str]) -> list[Result]:
    """Compare the collator with the same corruption one token at a time; both make the same batch."""
    rows, length = (16, 64) if settings.quick else (64, 512)
    ids = np.concatenate([tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts])
    rows = min(rows, len(ids) // length)
    cls, eos = tokenizer.cls_token_id, tokenizer.eos_token_id
    features = [
        {"input_ids": [cls, *ids[n * length + 1 : (n + 1) * length - 1].tolist(), eos], "sample_id": n}
        for n in range(rows)
    ]
    results: list[Result] = []
    for whole_words in (False, True):
        collator = DataCollatorForBlankInfilling(tokenizer, whole_words=whole_words)
        runs = {"ours": partial(collator, features), "naive": partial(naive_batch, features, collator)}
        seconds = take_turns(runs, settings.rounds)
        work = f"make a pretraining batch of {rows} x {length} tokens{', whole words' * whole_words}"
        speed = Speed.from_seconds(work, "plain Python", seconds["ours"], seconds["naive"])
        results += [speed, Value(work=work, value=rows * length / speed.ours / 1e6, unit="million tokens per second")]
    return results


def naive_batch(features: list[dict], collator: DataCollatorForBlankInfilling) -> dict[str, torch.Tensor]:
    """Make the collator's batch one text at a time, in plain Python."""
    rows = [naive_infilling.corrupt(feature["input_ids"], feature["sample_id"], collator) for feature in features]
    longest = max(len(row["input_ids"]) for row in rows)

    def pad(values: list[int], fill: int) -> list[int]:
        return values + [fill] * (longest - len(values))

    return {
        "input_ids": torch.tensor([pad(row["input_ids"], collator.tokenizer.pad_token_id) for row in rows]),
        "labels": torch.tensor([pad(row["labels"], -100) for row in rows]),
        "position_ids": torch.tensor([[pad(part, 0) for part in row["position_ids"]] for row in rows]),
        "attention_mask": torch.tensor([pad([1] * len(row["input_ids"]), 0) for row in rows]),
    }


def measure_padding(tokenizer: GLMTokenizer, texts: list[str], batches: int) -> list[Result]:
    """Measure the share of padding in batches of 48 texts, without and with packing."""
    ids = tokenizer(texts)["input_ids"]
    return [
        Value(
            work="padding without packing" if length is None else f"padding in packed rows of {length} tokens",
            value=padding_share(tokenizer, ids, length, batches),
            unit="share",
        )
        for length in (None, 128, 512)
    ]


def padding_share(tokenizer: GLMTokenizer, texts: list[list[int]], packed_length: int | None, batches: int) -> float:
    """Return the share of padding in batches of 48 random texts."""
    collator = DataCollatorForBlankInfilling(
        tokenizer,
        objectives=MIXTURE,
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

"""The originals' samples of language modelling and multiple choice, and our rows in the same form."""

import argparse
import json
from functools import cache
from typing import Any

from modeling_glm import GLMConfig, GLMForConditionalGeneration, GLMTokenizer
from modeling_glm.branches_glm import PieceLayout
from modeling_glm.evaluation.continuations import ContinuationRow
from tests.support.original_files import read_golden
from tests.support.paths import GOLDEN_MODELS


@cache
def read_cases(name: str) -> dict[str, Any]:
    """Read a file of the golden data."""
    return json.loads(read_golden(name))


def read_documents(case: dict[str, Any], files: dict[str, str]) -> list[str]:
    """Read the documents of a case: WikiText is one, of which the other task has one in each line."""
    text = files[case["file"]]
    return [text] if case["task"] == "wikitext" else text.splitlines()


def read_flags(flags: list[str]) -> argparse.Namespace:
    """Read the flags of the originals that matter here, with the originals' defaults."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seq-length", type=int, default=512)
    parser.add_argument("--overlapping-eval", type=int, default=32)
    parser.add_argument("--unidirectional", action="store_true")
    return parser.parse_known_args(flags)[0]


@cache
def load_tiny(name: str) -> tuple[GLMForConditionalGeneration, GLMTokenizer]:
    """Load a tiny model with the activation of the authors' code, and its tokenizer."""
    folder = GOLDEN_MODELS / name
    model = GLMForConditionalGeneration.from_pretrained(folder, hidden_act="gelu_pytorch_tanh")
    return model.eval(), GLMTokenizer.from_pretrained(folder)


def vocabulary_of(tokenizer_name: str) -> tuple[str, bool]:
    """Say of a case's tokenizer which vocabulary it is, and whether it has the masks of tasks."""
    return tokenizer_name.removesuffix("_notask"), not tokenizer_name.endswith("_notask")


def config_of(tokenizer: GLMTokenizer) -> GLMConfig:
    """Make the config of a model for a vocabulary, to lay rows out."""
    return GLMConfig(vocab_size=len(tokenizer), **tokenizer.special_token_ids)


def as_sample(row: ContinuationRow, config: GLMConfig, continuation: int = 0) -> dict[str, Any]:
    """Write a row with one of its continuations as the originals write a sample, without the padding behind it."""
    layout = PieceLayout(row.context, config)
    tokens = list(row.continuations[continuation])
    layout.append(row.blank % len(layout.blanks), [layout.sop_token_id, *tokens[:-1]])
    start = len(row.context)
    return {
        "text": layout.ids,
        "target": [0] * start + tokens,
        "attention_mask": start,
        "loss_mask": [0] * (start + row.skip) + [1] * (len(tokens) - row.skip),
        "position_id": [layout.row0, layout.row1],
    }


def unpad(sample: dict[str, Any]) -> dict[str, Any]:
    """Cut the padding behind a sample of the originals: what stands behind the last token with a loss."""
    length = max(place for place, scored in enumerate(sample["loss_mask"]) if scored) + 1
    return {
        name: value
        if isinstance(value, int)
        else [row[:length] for row in value]
        if name == "position_id"
        else value[:length]
        for name, value in sample.items()
    }

"""Cases of the originals' searches: their models, inputs and settings, read from the golden data."""

import json
from functools import cache
from typing import Any

import torch

from modeling_glm import GLMForConditionalGeneration, GLMTokenizer
from tests.support.original_files import read_golden
from tests.support.paths import GOLDEN_MODELS

SETTINGS = {
    "--tgt-seq-length": ("max_new_tokens", int),
    "--num-beams": ("num_beams", int),
    "--length-penalty": ("length_penalty", float),
    "--no-repeat-ngram-size": ("no_repeat_ngram_size", int),
    "--min-tgt-length": ("min_new_tokens", int),
}


@cache
def read_cases(name: str) -> dict[str, Any]:
    """Read `beams` or `infilling`."""
    return json.loads(read_golden(f"seq2seq/{name}.json"))


@cache
def load_model(name: str, model: str, eop_row: int) -> GLMForConditionalGeneration:
    """Load a tiny model, with another row for the end of a piece where a case names one."""
    loaded = GLMForConditionalGeneration.from_pretrained(GOLDEN_MODELS / model).eval()
    changed = read_cases(name)["eop_rows"][model]
    rows = {"0": None, **changed["rows"]}
    row = rows[str(eop_row)] if str(eop_row) in rows else [4 * value for value in rows["1"]]
    if row is not None:
        with torch.no_grad():
            loaded.get_input_embeddings().weight[changed["id"]] = torch.tensor(row)
    return loaded


@cache
def load_tokenizer(model: str) -> GLMTokenizer:
    return GLMTokenizer.from_pretrained(GOLDEN_MODELS / model)


def read_settings(case: dict[str, Any]) -> dict[str, Any]:
    """Read the settings of a case as arguments of our search."""
    flags = case["flags"]
    return {ours: kind(flags[flags.index(theirs) + 1]) for theirs, (ours, kind) in SETTINGS.items() if theirs in flags}


def read_inputs(case: dict[str, Any], inputs: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """Read the inputs of a case: padding is text, except where the mask of the last row hides it."""
    ids, positions = (torch.tensor([sample[name] for sample in inputs]) for name in ("text", "position_id"))
    mask = torch.ones_like(ids)
    if "attention_mask_rows" in inputs[0]:
        mask = torch.tensor([list(map(int, sample["attention_mask_rows"][-1])) for sample in inputs])
    if "--no-block-position" in case["flags"]:
        most = read_settings(case)["max_new_tokens"]
        positions = torch.cat((positions, positions[..., -1:].expand(-1, -1, most)), dim=-1)
    return {"input_ids": ids, "attention_mask": mask, "position_ids": positions}


def name_case(case: dict[str, Any]) -> str:
    flags = "".join(flag.replace("--", "-") for flag in case["flags"])
    return f"{case['model'][0]}-{case['task']}-eop{case['eop_row']}{flags}"

"""Numbers of the original implementations for whole models. Everything is read from the data: names, ids and settings."""

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from safetensors.torch import load_file

from tests.support.paths import GOLDEN_MODELS

# Models whose stored cases are there; the copy in the repository holds fewer than the full set.
MODELS = sorted(path.parent.name for path in GOLDEN_MODELS.glob("*/cases.json"))
# Logits, losses and gradients of the authors' code, which uses the tanh form of GELU.
NATIVE = "thudm_native_tanh_gelu"


@cache
def read_json(name: str, file_name: str) -> dict[str, Any]:
    """Read a file of a model's folder; empty if there is none."""
    path = GOLDEN_MODELS / name / file_name
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def golden_cases(name: str) -> dict[str, Any]:
    """Read what was stored about the cases of a model."""
    return read_json(name, "cases.json")


def has_block_positions(name: str) -> bool:
    """Tell whether a model has block positions, without which it cannot fill blanks."""
    return read_json(name, "config.json")["block_position_encoding"]


def has_tensors(name: str, case: str) -> bool:
    """Tell whether the tensors of a case are stored."""
    return (GOLDEN_MODELS / name / f"{case}.safetensors").is_file()


def golden_tensors(name: str, case: str) -> dict[str, torch.Tensor]:
    """Load the tensors of a case: inputs ("in.…") and outputs ("out.…"). Masks become integers."""
    tensors = load_file(GOLDEN_MODELS / name / f"{case}.safetensors")
    return {key: value.long() if value.dtype == torch.uint8 else value for key, value in tensors.items()}


def golden_inputs(name: str, case: str) -> dict[str, torch.Tensor]:
    """Load the inputs of a case alone, by the names of the model's arguments."""
    tensors = golden_tensors(name, case)
    return {key.removeprefix("in."): value for key, value in tensors.items() if key.startswith("in.")}


def list_cases(wanted: Callable[[str, str], bool], models: list[str] = MODELS) -> list[tuple[str, str]]:
    """List the models and cases with stored tensors for which `wanted(model, case)` holds."""
    return [
        (name, case)
        for name in models
        for case in golden_cases(name)["cases"]
        if has_tensors(name, case) and wanted(name, case)
    ]

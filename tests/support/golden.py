"""Numbers of the original implementations for whole models."""

import json

import torch
from safetensors.torch import load_file

from tests.support.paths import GOLDEN_MODELS


def golden_cases(name: str) -> dict:
    return json.loads((GOLDEN_MODELS / name / "cases.json").read_text(encoding="utf-8"))


def golden_tensors(name: str, case: str) -> dict[str, torch.Tensor]:
    tensors = load_file(GOLDEN_MODELS / name / f"{case}.safetensors")
    return {key: value.long() if value.dtype == torch.uint8 else value for key, value in tensors.items()}

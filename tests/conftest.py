"""What all tests share: golden data, small models with asymmetric weights, layouts with blanks."""

import json
import os
from functools import cache
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from safetensors.torch import load_file

from modeling_glm import GLMConfig, GLMTokenizer

# The same examples in every run, and nothing written beside the tests.
settings.register_profile("deterministic", derandomize=True, deadline=None)
settings.load_profile("deterministic")

FIXTURES = Path(__file__).parent / "fixtures"
GOLDEN = Path(os.environ.get("GLM_GOLDEN", Path(__file__).parents[2] / "shared" / "golden"))
# The full golden data where it is present, the copy of its small parts otherwise.
GOLDEN_MODELS = GOLDEN / "model" if (GOLDEN / "model").is_dir() else FIXTURES / "model"

TOKEN_IDS = {
    "pad_token_id": 0,
    "eos_token_id": 1,
    "cls_token_id": 2,
    "mask_token_id": 3,
    "smask_token_id": 4,
    "gmask_token_id": 5,
    "sop_token_id": 6,
    "eop_token_id": 7,
}
FIRST_WORD = 10  # ids from here on are words


TEXTS = [
    "The quick brown fox jumps over the lazy dog and the lazy cat.",
    "In the year 1987 the number 404 was not found.",
    "Paris is the capital of France, and Rome is the capital of Italy.",
] * 20


@pytest.fixture(scope="session")
def tokenizer() -> GLMTokenizer:
    """A small vocabulary; tests that change more of it than its task take a copy."""
    return _train_tokenizer()


@cache
def _train_tokenizer() -> GLMTokenizer:
    return GLMTokenizer.train_from_iterator(TEXTS, 400)


@pytest.fixture(autouse=True)
def _no_task_left():
    """Collators leave their task in the tokenizer: the next test finds none."""
    yield
    _train_tokenizer().cloze = None


def tiny_config(**overrides) -> GLMConfig:
    """A model of a few thousand parameters, with all special tokens and without dropout."""
    settings = {
        "vocab_size": 64,
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "max_position_embeddings": 48,
        "embedding_dropout": 0.0,
        "attention_dropout": 0.0,
        "hidden_dropout": 0.0,
        **TOKEN_IDS,
    }
    return GLMConfig(**{**settings, **overrides})


def randomise(model: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Draws every parameter, biases and norms included, so that symmetric bugs show and the outputs vary."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            scale = 1.5 / parameter.shape[-1] ** 0.5 if parameter.ndim > 1 and "embeddings" not in name else 0.4
            centre = 1.0 if "layernorm" in name and name.endswith("weight") else 0.0
            parameter.copy_(centre + scale * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def make_model(model_class, seed: int = 0, attn_implementation: str = "sdpa", **overrides):
    return randomise(model_class(tiny_config(attn_implementation=attn_implementation, **overrides)), seed)


def words(count: int, seed: int = 0) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(FIRST_WORD, 64, (count,), generator=generator).tolist()


def pad_rows(rows: list[list[int]], side: str, value: int = 0) -> torch.Tensor:
    width = max(map(len, rows))
    fill = [[value] * (width - len(row)) for row in rows]
    return torch.tensor([f + row if side == "left" else row + f for row, f in zip(rows, fill, strict=True)])


@pytest.fixture(autouse=True)
def _uncompiled_flex_attention(request):
    """Transformers compiles flex attention for every mask, which takes a CPU minutes: here it runs uncompiled."""
    callspec = getattr(request.node, "callspec", None)
    if callspec is None or "flex_attention" not in callspec.params.values():
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield


def golden_cases(name: str) -> dict:
    return json.loads((GOLDEN_MODELS / name / "cases.json").read_text(encoding="utf-8"))


def golden_tensors(name: str, case: str) -> dict[str, torch.Tensor]:
    tensors = load_file(GOLDEN_MODELS / name / f"{case}.safetensors")
    return {key: value.long() if value.dtype == torch.uint8 else value for key, value in tensors.items()}

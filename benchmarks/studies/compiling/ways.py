"""The ways in which a training step and decoding are compiled."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from transformers.utils.logging import set_verbosity_error

from modeling_glm import GLMForConditionalGeneration

from ...harness.decoder import GreedyDecoder
from ...harness.shapes import SHAPES, Shape, build_glm, make_contexts
from ...harness.steps import make_batch, optimizing

Run = Callable[[], Any]
PLAIN = "not compiled"
STATIC = "static cache"
# Options of the compiler for the forward pass of decoding.
COMPILED: dict[str, dict[str, Any]] = {
    "compiled": {},
    "frozen": {"freezing": True},
    "templates": {"freezing": True, "max_autotune": True, "max_autotune_gemm_backends": "CPP,ATEN"},
}


def make_training(way: str, shape: Shape, rows: int, length: int) -> Run:
    """Make a training step that is compiled in one of the ways."""
    model = build_glm(GLMForConditionalGeneration, shape).train()
    batch = make_batch(model.config, rows, length)
    if way == "blocks":
        for block in model.glm.transformer.layers:
            block.compile(dynamic=False)
    elif way == "layers":
        model.glm.compile(dynamic=False)
    return optimizing(model, lambda: model(**batch).loss)


def make_decoding(way: str, shape: Shape, rows: int, length: int, new_tokens: int) -> Run:
    """Make greedy decoding that is compiled in one of the ways."""
    model = build_glm(GLMForConditionalGeneration, shape)
    contexts = make_contexts(model.config, rows, length)
    if way == PLAIN:
        return GreedyDecoder(model, contexts, new_tokens)
    if way != STATIC:
        model.forward = torch.compile(model.forward, dynamic=False, options=COMPILED[way])
    return GreedyDecoder(model, contexts, new_tokens, cache_implementation="static")


@dataclass(frozen=True)
class Compared:
    """
    What is measured.

    Attributes:
        make: Makes a run from a way, a shape and sizes.
        ways: What is compared, first what is not compiled.
        compiled: The ways that compile something.
    """

    make: Callable[..., Run]
    ways: tuple[str, ...]
    compiled: frozenset[str]


WORKS = {
    "training": Compared(make_training, (PLAIN, "blocks", "layers"), frozenset({"blocks", "layers"})),
    "decoding": Compared(make_decoding, (PLAIN, STATIC, *COMPILED), frozenset(COMPILED)),
}


def time_first_call(work: str, way: str, shape: str, *sizes: int) -> dict[str, float]:
    """Time the first call. Call it in a separate process."""
    set_verbosity_error()
    run = WORKS[work].make(way, SHAPES[shape], *sizes)
    start = time.perf_counter()
    run()
    return {"seconds": time.perf_counter() - start}

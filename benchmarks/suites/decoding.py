"""Time prefill and decoding of 64 tokens against peers, and against the matmul peak and the memory bandwidth."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from transformers import BertForMaskedLM, GPT2LMHeadModel

from modeling_glm import GLMForConditionalGeneration, set_precision

from ..harness.decoder import GreedyDecoder
from ..harness.machine import dtype_name
from ..harness.measuring import take_turns
from ..harness.naive_glm import NaiveGLM, decode
from ..harness.peers import BART, BERT, GPT2, T5, build_peer
from ..harness.results import LimitShare, Result, Speed
from ..harness.settings import RunSettings
from ..harness.shapes import (
    BASE,
    GLM_2B,
    GLM_10B,
    LARGE,
    MEDIUM,
    TINY,
    Shape,
    build_glm,
    draw_ids,
    find_blank,
    make_contexts,
)

KEPT = "naive GLM, hidden states kept"
REREAD = "naive GLM, whole text read at each step"
WAYS = (KEPT, REREAD)
INT8 = "int8"


@dataclass(frozen=True, kw_only=True)
class DecodingCase:
    """
    Contexts and what to compare on them.

    Attributes:
        shape: Size of the models.
        rows, length: Size of the contexts.
        new_tokens: Number of tokens to generate.
        dtype: Of the weights.
        peers: Names of the peers.
        compiled: Also measure a static cache, and a compiled model. Compiling takes half a minute.
        naive: Names of the ways of the original code to compare with.
        int8: Also compare int8 with the original code, which keeps hidden states.
    """

    shape: Shape
    rows: int
    length: int
    new_tokens: int = 64
    dtype: torch.dtype = torch.float32
    peers: tuple[str, ...] = (GPT2,)
    compiled: bool = False
    naive: tuple[str, ...] = ()
    int8: bool = False

    @property
    def work(self) -> str:
        return (
            f"{self.shape.name}, {self.rows} x {self.length}, {self.new_tokens} new tokens, {dtype_name(self.dtype)}"
        )

    @property
    def bytes_read(self) -> float:
        """
        Bytes that must be read after the first token: at every step all weights, and the keys and values of all rows.
        """
        shape, size = self.shape, self.dtype.itemsize
        weights = (shape.block_weights + shape.hidden * shape.vocabulary) * size
        cached = 2 * shape.layers * shape.hidden * size * self.rows * (self.length + self.new_tokens / 2)
        return (self.new_tokens - 1) * (weights + cached)


def decoding_cases(settings: RunSettings) -> list[DecodingCase]:
    if settings.quick:
        return [
            DecodingCase(shape=TINY, rows=1, length=64, new_tokens=8, peers=(GPT2, T5, BART), naive=WAYS, int8=True)
        ]
    if settings.on_gpu:
        return [
            DecodingCase(shape=shape, rows=rows, length=512, dtype=torch.bfloat16, peers=(), compiled=True)
            for shape in (LARGE, GLM_2B, GLM_10B)
            for rows in (1, 16)
        ]
    everyone = (GPT2, T5, BART)
    return [
        DecodingCase(shape=BASE, rows=1, length=128, peers=everyone, compiled=True),
        DecodingCase(shape=BASE, rows=1, length=512),
        DecodingCase(shape=BASE, rows=4, length=128),
        DecodingCase(shape=BASE, rows=4, length=512, peers=everyone, compiled=True, naive=(KEPT,)),
        DecodingCase(shape=BASE, rows=4, length=200, peers=(), naive=WAYS, int8=True),
        DecodingCase(shape=MEDIUM, rows=4, length=200, peers=(), naive=(KEPT,), int8=True),
        DecodingCase(shape=BASE, rows=16, length=128, compiled=True),
        DecodingCase(shape=BASE, rows=16, length=512),
        DecodingCase(shape=LARGE, rows=1, length=128, peers=everyone),
    ]


def run(settings: RunSettings) -> list[Result]:
    results: list[Result] = []
    if not settings.on_gpu:
        shape, sizes = (TINY, [(1, 64)]) if settings.quick else (BASE, [(1, 512), (4, 512), (16, 128)])
        for rows, length in sizes:
            results += measure_prefill(settings, shape, rows, length)
    for case in decoding_cases(settings):
        results += measure_decoding(settings, case)
    return results


def measure_prefill(settings: RunSettings, shape: Shape, rows: int, length: int) -> list[Result]:
    """Compare the forward pass that reads a context with GPT-2, with BERT's layers, and with the matmul peak."""
    glm = build_glm(GLMForConditionalGeneration, shape)
    gpt2, bert = build_peer(GPT2, shape), build_peer(BERT, shape)
    assert isinstance(gpt2, GPT2LMHeadModel)
    assert isinstance(bert, BertForMaskedLM)
    contexts, ids = make_contexts(glm.config, rows, length), draw_ids(shape.vocabulary, rows, length)
    layers_only = f"{BERT} without its head"
    runs: dict[str, Callable[[], object]] = {
        "GLM": lambda: glm(contexts, use_cache=True, logits_to_keep=1),
        GPT2: lambda: gpt2(ids, use_cache=True, logits_to_keep=1),
        layers_only: lambda: bert.bert(ids),
    }
    with torch.inference_mode():
        seconds = take_turns(runs, settings.rounds)
    work = f"{shape.name}, prefill of {rows} x {length}, float32"
    best = min(seconds["GLM"])
    share = shape.forward_flops(rows, length, rows) / best / settings.machine.peak(shape, torch.float32)
    return [
        *(Speed.from_seconds(work, peer, seconds["GLM"], seconds[peer]) for peer in (GPT2, layers_only)),
        LimitShare(work=work, limit="matmul peak in fp32", share=share, seconds=best),
    ]


def measure_decoding(settings: RunSettings, case: DecodingCase) -> list[Result]:
    """Compare decoding with peers, with its own variants, and with the memory bandwidth."""
    device, dtype = settings.device, case.dtype
    model = build_glm(GLMForConditionalGeneration, case.shape).to(device, dtype)
    contexts = make_contexts(model.config, case.rows, case.length).to(device)
    ours = GreedyDecoder(model, contexts, case.new_tokens)
    first_token = GreedyDecoder(model, contexts, 1)

    peers: dict[str, Callable[[], object]] = {}
    for name in case.peers:
        ids = draw_ids(case.shape.vocabulary, case.rows, case.length).to(device)
        peers[name] = GreedyDecoder(build_peer(name, case.shape).to(device, dtype), ids, case.new_tokens)
    variants: dict[str, GreedyDecoder] = {}
    if case.compiled:
        variants["static cache"] = GreedyDecoder(model, contexts, case.new_tokens, cache_implementation="static")
        compiled = build_glm(GLMForConditionalGeneration, case.shape).to(device, dtype)
        compiled.forward = torch.compile(compiled.forward, dynamic=False)
        variants["compiled"] = GreedyDecoder(compiled, contexts, case.new_tokens, cache_implementation="static")
        if dtype == torch.float32:
            require_same(ours(), variants["compiled"]())
    naive, blank = NaiveGLM(model).eval(), find_blank(model.config, contexts)
    if KEPT in case.naive:
        peers[KEPT] = lambda: decode(naive, contexts, blank, case.new_tokens, remember=True)
        require_same(ours()[:, -case.new_tokens :], decode(naive, contexts, blank, case.new_tokens, remember=True))

    runs = {"GLM": ours, "first token": first_token, **variants, **peers}
    if case.int8:
        quantized = set_precision(build_glm(GLMForConditionalGeneration, case.shape), INT8)
        runs[INT8] = GreedyDecoder(quantized, contexts, case.new_tokens)
    seconds = take_turns(runs, settings.rounds, device)
    after_first = min(seconds["GLM"]) - min(seconds["first token"])
    results: list[Result] = [
        *(Speed.from_seconds(case.work, peer, seconds["GLM"], seconds[peer]) for peer in peers),
        *(
            Speed.from_seconds(f"{case.work}, {name}", "GLM with a dynamic cache", seconds[name], seconds["GLM"])
            for name in variants
        ),
        LimitShare(
            work=f"{case.work}, per token",
            limit="memory bandwidth",
            share=case.bytes_read / after_first / settings.machine.bandwidth,
            seconds=after_first / (case.new_tokens - 1),
        ),
    ]
    if case.int8:
        results.append(Speed.from_seconds(f"{case.work}, {INT8}", KEPT, seconds[INT8], seconds[KEPT]))
    if REREAD in case.naive:
        # So slow that it gets rounds of its own.
        slow = {"GLM": ours, REREAD: lambda: decode(naive, contexts, blank, case.new_tokens, remember=False)}
        seconds = take_turns(slow, min(2, settings.rounds), device, warm_up=False)
        results.append(Speed.from_seconds(case.work, REREAD, seconds["GLM"], seconds[REREAD]))
    return results


def require_same(ours: torch.Tensor, theirs: torch.Tensor):
    """
    Check that two runs generate the same ids in most rows.

    Two tokens can be equally likely up to rounding, and then the rest of the row differs.

    Raises:
        RuntimeError: If fewer than half of the rows have the same ids.
    """
    same = (ours == theirs).all(-1).float().mean().item()
    if same < 0.5:
        raise RuntimeError(f"Only {same:.0%} of the rows have the same ids, so the two runs do different work.")

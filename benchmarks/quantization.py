"""Decoding with smaller weights on the CPU, bf16 and int8: how much faster, and what it costs in quality."""

import importlib.util
import sys
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from modeling_glm import GLMForConditionalGeneration, GLMTokenizer
from modeling_glm.utils.inference import answer_blanks

from .decoding import Decoder
from .filling import EMBEDDED
from .measuring import ROOT, Line, compare, take_turns
from .settings import Settings
from .shapes import BASE, TINY, build_glm, make_contexts


def to_bf16(model: Any) -> Any:
    return model.to(torch.bfloat16)


def to_int8(model: Any) -> Any:
    """torch's dynamic quantization: int8 weights, and activations rounded as they come. It runs on CPUs alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces that torchao takes over
        return torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)


def to_int8_weights(model: Any) -> Any:
    """torchao's int8 weights, made floats again for every product."""
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    quantize_(model, Int8WeightOnlyConfig())
    return model


def variants() -> dict[str, Callable[[Any], Any]]:
    """What to make of a model. torchao is measured where it is installed."""
    made = {"bf16": to_bf16, "int8 weights and activations (torch)": to_int8}
    if importlib.util.find_spec("torchao"):
        made["int8 weights (torchao)"] = to_int8_weights
    return made


def run(settings: Settings) -> list[Line]:
    shape, new_tokens = (TINY, 8) if settings.quick else (BASE, 64)
    lines = []
    for rows, length in ((1, 64),) if settings.quick else ((1, 128), (16, 128)):
        model = build_glm(shape)
        contexts = make_contexts(model.config, shape, rows, length)
        decoders = {"fp32": Decoder(model, contexts, new_tokens)}
        for name, convert in variants().items():
            decoders[name] = Decoder(convert(build_glm(shape)), contexts, new_tokens)
        seconds = take_turns(decoders, settings.rounds)
        lines += [
            Line(
                suite="quantization",
                work=f"{shape.name}, {rows} x {length}, {new_tokens} new tokens, {name}",
                peer="fp32",
                **compare(seconds, name, "fp32"),
            )
            for name in variants()
        ]
    return lines + quality_lines(40 if settings.quick else 1000)


def quality_lines(count: int) -> list[Line]:
    """The loss and the exact answers of the embedded checkpoint in blanks of held-out text."""
    if str(ROOT / "examples") not in sys.path:
        sys.path.insert(0, str(ROOT / "examples"))
    from corpora import build_splits
    from corpora.baselines import make_blanks
    from corpora.held_out import blank_loss

    tokenizer = GLMTokenizer.from_pretrained(EMBEDDED)
    blanks = make_blanks(build_splits()[1], count=count, seed=1)
    losses, exact = {}, {}
    for name, convert in {"fp32": lambda model: model, **variants()}.items():
        model = convert(GLMForConditionalGeneration.from_pretrained(EMBEDDED, dtype=torch.float32).eval())
        answers = answer_blanks(model, tokenizer, [blank.text for blank in blanks], max_new_tokens_per_blank=24)
        exact[name] = sum(found == blank.answer for (found, *_), blank in zip(answers, blanks, strict=True)) / count
        losses[name] = blank_loss(model, tokenizer, blanks)
    return [
        Line(
            suite="quantization",
            work=f"glm-tiny, loss in {count} held-out blanks, {name}",
            peer="fp32",
            ratio=losses["fp32"] / losses[name],
            ours=losses[name],
            theirs=losses["fp32"],
            unit="nats per token",
            note=f"exact answers {exact[name]:.1%} against {exact['fp32']:.1%}",
        )
        for name in variants()
    ]

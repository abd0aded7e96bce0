"""Time decoding with bf16 and int8 weights on the CPU, and measure what they cost in quality."""

import importlib.util
import warnings
from collections.abc import Callable

import torch
from torch import nn

from examples.corpora.measuring.blanks import exact_match
from examples.corpora.measuring.held_out import blank_loss
from modeling_glm import GLMForConditionalGeneration
from modeling_glm.utils.inference import answer_blanks

from ..harness.decoder import GreedyDecoder
from ..harness.embedded import EMBEDDED, compare_quality, held_out_blanks, load_tokenizer
from ..harness.measuring import take_turns
from ..harness.results import Result, Speed
from ..harness.settings import RunSettings
from ..harness.shapes import BASE, TINY, Shape, build_glm, make_contexts

Convert = Callable[[GLMForConditionalGeneration], GLMForConditionalGeneration]
TORCH_INT8 = "int8 weights and activations (torch)"


def to_bf16(model: GLMForConditionalGeneration) -> GLMForConditionalGeneration:
    return model.to(torch.bfloat16)


def to_int8(model: GLMForConditionalGeneration) -> GLMForConditionalGeneration:
    """Use torch's dynamic quantization: int8 weights, activations rounded at run time. Works on CPUs only."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces its replacement by torchao
        return torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)


def to_int8_weights(model: GLMForConditionalGeneration) -> GLMForConditionalGeneration:
    """Use torchao's int8 weights, which become floats for every matmul."""
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    quantize_(model, Int8WeightOnlyConfig())
    return model


def conversions() -> dict[str, Convert]:
    """Return the conversions to measure. torchao is measured where it is installed."""
    found: dict[str, Convert] = {"bf16": to_bf16, TORCH_INT8: to_int8}
    if importlib.util.find_spec("torchao"):
        found["int8 weights (torchao)"] = to_int8_weights
    return found


def run(settings: RunSettings) -> list[Result]:
    if settings.quick:
        return [*compare_decoding(settings, TINY, 1, 64, 8), *measure_quality(16)]
    return [
        *compare_decoding(settings, BASE, 1, 128, 64),
        *compare_decoding(settings, BASE, 16, 128, 64),
        *measure_quality(1000),
    ]


def compare_decoding(settings: RunSettings, shape: Shape, rows: int, length: int, new_tokens: int) -> list[Result]:
    """Compare decoding with smaller weights with decoding in fp32."""
    model = build_glm(GLMForConditionalGeneration, shape)
    contexts = make_contexts(model.config, rows, length)
    decoders = {"fp32": GreedyDecoder(model, contexts, new_tokens)}
    for name, convert in conversions().items():
        converted = convert(build_glm(GLMForConditionalGeneration, shape))
        decoders[name] = GreedyDecoder(converted, contexts, new_tokens)
    seconds = take_turns(decoders, settings.rounds)
    work = f"{shape.name}, {rows} x {length}, {new_tokens} new tokens"
    return [Speed.from_seconds(f"{work}, {name}", "fp32", seconds[name], seconds["fp32"]) for name in conversions()]


def measure_quality(count: int) -> list[Result]:
    """Measure loss and exact match of the embedded checkpoint in blanks of held-out texts."""
    tokenizer = load_tokenizer()
    blanks = held_out_blanks(count)

    def measure(convert: Convert) -> tuple[float, float]:
        model = convert(GLMForConditionalGeneration.from_pretrained(EMBEDDED, dtype=torch.float32).eval())
        answers = answer_blanks(model, tokenizer, [blank.text for blank in blanks], max_new_tokens_per_blank=24)
        exact = exact_match([answer for (answer,) in answers], blanks)
        return blank_loss(model, tokenizer, blanks), exact

    peer = measure(lambda model: model)
    measured = {name: measure(convert) for name, convert in conversions().items()}
    return [*compare_quality(measured, peer, count)]

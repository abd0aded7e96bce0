"""Time decoding in int8 and bf16 on the CPU, and measure what they cost in quality, by family of texts."""

import importlib.util
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import nn

from examples.corpora.measuring.blanks import HeldOutBlank, exact_match
from examples.corpora.measuring.held_out import blank_loss
from examples.corpora.measuring.sample import read_sample
from modeling_glm import GLMForConditionalGeneration, set_precision
from modeling_glm.utils.inference import answer_blanks

from ..harness.decoder import GreedyDecoder
from ..harness.embedded import EMBEDDED, compare_quality, held_out_blanks, load_tokenizer
from ..harness.measuring import take_turns
from ..harness.results import Result, Speed
from ..harness.settings import RunSettings
from ..harness.shapes import BASE, TINY, Shape, build_glm, make_contexts

Convert = Callable[[GLMForConditionalGeneration], GLMForConditionalGeneration]
# What `set_precision` offers on a CPU.
OURS: Mapping[str, Convert] = {name: partial(set_precision, precision=name) for name in ("bf16", "int8")}
TORCH_INT8 = "int8 weights and activations (torch)"


def to_torch_int8(model: GLMForConditionalGeneration) -> GLMForConditionalGeneration:
    """Use torch's dynamic quantization, which rounds the inputs of a whole batch by one scale."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces its end
        return torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)


def to_int8_weights(model: GLMForConditionalGeneration) -> GLMForConditionalGeneration:
    """Use torchao's int8 weights, which become floats for every matmul."""
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    quantize_(model, Int8WeightOnlyConfig())
    return model


def conversions_of_ours(bf16: bool = True) -> dict[str, Convert]:
    """Return what `set_precision` offers; bf16 where it is fast enough to be measured."""
    return {name: convert for name, convert in OURS.items() if bf16 or name != "bf16"}


def conversions(bf16: bool = True) -> dict[str, Convert]:
    """Return the conversions to measure. Those of torch and torchao are measured where they are installed."""
    found = conversions_of_ours(bf16)
    if hasattr(torch.ao.quantization, "quantize_dynamic"):
        found[TORCH_INT8] = to_torch_int8
    if importlib.util.find_spec("torchao"):
        found["int8 weights (torchao)"] = to_int8_weights
    return found


def run(settings: RunSettings) -> list[Result]:
    if settings.quick:
        return [*compare_decoding(settings, TINY, 1, 64, 8), *measure_quality(16), *measure_families(2)]
    bf16 = settings.machine.computes_bf16(BASE)
    decoding = [result for rows in (1, 4, 16) for result in compare_decoding(settings, BASE, rows, 128, 64, bf16)]
    return [*decoding, *measure_quality(1000, bf16), *measure_families(300, bf16)]


def compare_decoding(
    settings: RunSettings, shape: Shape, rows: int, length: int, new_tokens: int, bf16: bool = True
) -> list[Result]:
    """Compare decoding with smaller weights with decoding in fp32."""
    converting = conversions(bf16)
    model = build_glm(GLMForConditionalGeneration, shape)
    contexts = make_contexts(model.config, rows, length)
    decoders = {"fp32": GreedyDecoder(model, contexts, new_tokens)}
    for name, convert in converting.items():
        converted = convert(build_glm(GLMForConditionalGeneration, shape))
        decoders[name] = GreedyDecoder(converted, contexts, new_tokens)
    seconds = take_turns(decoders, settings.rounds)
    work = f"{shape.name}, {rows} x {length}, {new_tokens} new tokens"
    return [Speed.from_seconds(f"{work}, {name}", "fp32", seconds[name], seconds["fp32"]) for name in converting]


def measure_quality(count: int, bf16: bool = True) -> list[Result]:
    """Measure loss and exact match of the embedded checkpoint in blanks of held-out texts."""
    return compare_in(held_out_blanks(count), conversions(bf16))


def measure_families(count: int, bf16: bool = True) -> list[Result]:
    """Measure the same in the first blanks of every family of the sample that comes with the repository."""
    return [
        result
        for family, sampled in read_sample().items()
        for result in compare_in([one.blank for one in sampled[:count]], conversions_of_ours(bf16), f", {family}")
    ]


def compare_in(blanks: Sequence[HeldOutBlank], converted: Mapping[str, Convert], suffix: str = "") -> list[Result]:
    """
    Compare the embedded checkpoint in fp32 with other forms of it.

    Args:
        blanks: The blanks to fill.
        converted: What makes a form of the checkpoint, by its name.
        suffix: Names the blanks behind the name of a form.
    """
    tokenizer = load_tokenizer()

    def measure(convert: Convert) -> tuple[float, float]:
        model = convert(GLMForConditionalGeneration.from_pretrained(EMBEDDED, dtype=torch.float32).eval())
        answers = answer_blanks(model, tokenizer, [blank.text for blank in blanks], max_new_tokens_per_blank=24)
        exact = exact_match([answer for (answer,) in answers], blanks)
        return blank_loss(model, tokenizer, blanks), exact

    peer = measure(lambda model: model)
    measured = {f"{name}{suffix}": measure(convert) for name, convert in converted.items()}
    return [*compare_quality(measured, peer, len(blanks))]

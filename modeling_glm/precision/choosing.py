"""Set the precision of a model, or have it chosen for the CPU."""

import logging
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import torch
from transformers import PreTrainedModel

from .cpu import cpu_instructions
from .int8_layer import why_no_int8
from .quantizer import GLMInt8Config, GLMInt8Quantizer, has_adapters, is_int8

Precision = Literal["auto", "fp32", "bf16", "fp16", "int8"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
PRECISIONS = ("auto", *DTYPES, "int8")
# Weights in the matmuls of a forward pass. Int8 decodes 2 times as fast as fp32 with 34 million, 1.6 with 16 and 1.2 with 7. Models as
# small as that answer in milliseconds, so they keep the answers of fp32.
FEWEST = 20_000_000
# Larger language models have a few inputs far outside the range of the others, and lose by rounding them
# (Dettmers et al. 2022, "LLM.int8()"). The loss of int8 has not been measured for GLM at that size.
MOST = 1_000_000_000

Model = TypeVar("Model", bound=PreTrainedModel)
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PrecisionChoice:
    """
    Hold the precision that was chosen.

    Attributes:
        name: "fp32", "bf16" or "int8".
        reason: Why, as half a sentence.
    """

    name: str
    reason: str


def count_weights(config: Any) -> int:
    """Count the weights in the matmuls of a forward pass: those of the layers and of the vocabulary."""
    layer = 4 * config.hidden_size**2 + 2 * config.hidden_size * config.intermediate_size
    return config.num_hidden_layers * layer + config.vocab_size * config.hidden_size


def choose_precision(model: PreTrainedModel) -> PrecisionChoice:
    """
    Choose the precision that this CPU is good at, for a model of this size.

    Its size and the instructions of the CPU decide, and no timing, so a machine chooses the same every time.
    """
    if is_int8(model):
        return PrecisionChoice("int8", "the model is int8 already")
    instructions, count = cpu_instructions(), count_weights(model.config)
    if count < FEWEST:
        return PrecisionChoice(
            "fp32", f"a model of {count / 1e6:,.0f} million weights gains little from another precision"
        )
    if count <= MOST and why_no_int8() is None and not has_adapters(model):
        found = next((name for name in ("VNNI", "AMX") if name in instructions), None)
        if found is not None:
            return PrecisionChoice("int8", f"this CPU has dot products of 8 bits ({found})")
        if "AVX2" in instructions:
            return PrecisionChoice("int8", "this CPU multiplies 8 bits faster than 32 bits (AVX2)")
    if "BF16" in instructions:
        return PrecisionChoice("bf16", "this CPU has matmuls of 16 bits (BF16)")
    return PrecisionChoice("fp32", "nothing else is both faster on this CPU and known to be as good for this model")


def set_precision(model: Model, precision: Precision | str = "auto") -> Model:
    """
    Set the precision in which a model computes. The model itself changes.

    Args:
        model: A GLM of any class.
        precision: "fp32", "bf16" or "fp16", the types of the weights. "int8" is for CPUs: int8 weights,
            and inputs of linear layers that are rounded to int8 token by token. All else computes in fp32. The model is
            in eval mode then, and cannot be trained, moved or saved. "auto" takes what `choose_precision` chooses on a
            CPU, and changes nothing on other devices.

    Returns:
        The same model.

    Raises:
        ValueError: For an unknown precision, for int8 where it does not work, and for another precision of an int8 model.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision is {precision!r}: expected one of {', '.join(PRECISIONS)}.")
    if precision == "auto":
        if model.device.type != "cpu":
            return model
        choice = choose_precision(model)
        log.info("precision: %s, because %s", choice.name, choice.reason)
        precision = choice.name
    if is_int8(model):
        if precision != "int8":
            raise ValueError(f"The weights are rounded to int8: load the model again for the precision {precision}.")
        return model
    if precision == "int8":
        GLMInt8Quantizer(GLMInt8Config(), pre_quantized=False).convert(model)
        return model
    return model.to(DTYPES[precision])  # type: ignore[arg-type]


__all__ = ["PRECISIONS", "Precision", "PrecisionChoice", "choose_precision", "set_precision"]

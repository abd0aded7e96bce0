"""Use a model without changing it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import PreTrainedModel

from ..modeling_glm import GLMForConditionalGeneration
from ..tokenization import GLMTokenizer
from .rows import check_rows, read_rows, read_text


@contextmanager
def evaluation_mode(model: torch.nn.Module) -> Iterator[None]:
    """Turn dropout and gradients off for a while. Afterwards every module has its old mode again."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        for module in training:
            module.training = True


def is_a(model: torch.nn.Module, class_name: str) -> bool:
    """
    Return whether a model, or the model inside a PEFT wrapper, has or inherits from a class of this name.

    Names are compared because code that was loaded from the hub has classes of its own.
    """
    return class_name in {base.__name__ for base in type(unwrap(model)).__mro__}


def unwrap(model: torch.nn.Module) -> PreTrainedModel:
    """Return the model inside a PEFT wrapper, or the model itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model  # type: ignore[operator, return-value]


def answer_blanks(
    model: GLMForConditionalGeneration,
    tokenizer: GLMTokenizer,
    texts: Any,
    batch_size: int = 64,
    **generate_kwargs: Any,
) -> list[list[str]]:
    """
    Fill the blanks of texts greedily and return only the answers.

    `fill_blanks` does the same with probabilities and offsets; this is the fast way for measurements.

    Args:
        model: The model that fills them.
        tokenizer: Its tokenizer.
        texts: Texts with one or more blanks each, in any form of rows.
        batch_size: Number of texts in a forward pass. Texts of similar length share a batch.
        generate_kwargs: Further arguments of `generate`.

    Returns:
        For every text the answer of each blank, without white space around it.
    """
    listed = check_rows(read_rows(texts), read_text, kind="Text").good
    order = sorted(range(len(listed)), key=lambda index: len(listed[index]))
    answers: list[list[str]] = [[] for _ in listed]
    with evaluation_mode(model):
        for start in range(0, len(order), batch_size):
            chunk = order[start : start + batch_size]
            inputs = tokenizer([listed[index] for index in chunk], return_tensors="pt", padding=True).to(model.device)
            filled = tokenizer.decode_blanks(model.generate(**inputs, do_sample=False, **generate_kwargs))
            for index, row in zip(chunk, filled, strict=True):
                answers[index] = row
    return answers


__all__ = ["answer_blanks", "evaluation_mode", "is_a", "unwrap"]

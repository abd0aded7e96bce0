"""Check what `fill_blanks` passes on to `generate`, and give every row of a batch its part."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from transformers import GenerationConfig, GenerationMixin

from ..utils.inference import unwrap

# Arguments of `generate` that a search sets itself.
OWN_ARGUMENTS = frozenset(
    [
        "attention_mask",
        "do_sample",
        "early_stopping",
        "eos_token_id",
        "generate_kwargs",
        "input_ids",
        "logits_processor",
        "max_length",
        "max_new_tokens",
        "num_return_sequences",
        "output_scores",
        "position_ids",
        "return_dict_in_generate",
        "score_observers",
    ]
)
# Tensors with a row for each text.
OF_ROWS = ("negative_prompt_ids", "negative_prompt_attention_mask")


def check_names(model: torch.nn.Module, arguments: Mapping[str, Any]) -> None:
    """Raise a `ValueError` for arguments that neither `generate` nor the model knows, also if nothing is generated."""
    if not arguments:
        return
    known = {*vars(GenerationConfig()), *inspect.signature(GenerationMixin.generate).parameters, *OF_ROWS}
    if unknown := {name: value for name, value in arguments.items() if name not in known}:
        unwrap(model)._validate_model_kwargs(unknown)  # type: ignore[operator]


def check_rows_of(arguments: Mapping[str, Any], num_texts: int) -> None:
    """Raise a `ValueError` for a tensor that has not a row for each text."""
    for name in OF_ROWS:
        values = arguments.get(name)
        if values is not None and len(values) != num_texts:
            raise ValueError(
                f"{name} has {len(values)} rows, but there are {num_texts} texts: give a row for each text."
            )


def arguments_of_rows(arguments: Mapping[str, Any], numbers: Sequence[int], first_number: int = 0) -> dict[str, Any]:
    """
    Give the rows of a batch their part of arguments that are for single texts. Batches have texts in another order.

    Args:
        arguments: What the caller gave for `generate`.
        numbers: For every row the place of its text in the caller's list.
        first_number: What `prefix_allowed_tokens_fn` gets as the number of the first text.
    """
    of_rows = dict(arguments)
    for name in OF_ROWS:
        if (values := arguments.get(name)) is not None:
            rows = list(numbers)
            of_rows[name] = values[rows] if hasattr(values, "shape") else [values[number] for number in rows]
    if (function := arguments.get("prefix_allowed_tokens_fn")) is not None:
        of_rows["prefix_allowed_tokens_fn"] = _with_numbers(function, [first_number + number for number in numbers])
    return of_rows


def _with_numbers(
    function: Callable[[int, torch.Tensor], Sequence[int]], numbers: Sequence[int]
) -> Callable[[int, torch.Tensor], Sequence[int]]:
    return lambda row, input_ids: function(numbers[row], input_ids)

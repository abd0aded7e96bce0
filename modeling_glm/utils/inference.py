"""Using a model without changing it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def evaluation_mode(model: torch.nn.Module) -> Iterator[None]:
    """Without dropout and gradients for a while; every module is then in the mode that it was in."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        for module in training:
            module.training = True


def is_a(model: Any, class_name: str) -> bool:
    """Whether a model is of a class, by its name, so that code from the hub counts; PEFT's wrappers are looked through."""
    return class_name in {base.__name__ for base in type(unwrap(model)).__mro__}


def unwrap(model: Any) -> Any:
    """The model that PEFT has wrapped, or the model itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model

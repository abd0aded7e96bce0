"""Load a model as lm-evaluation-harness names it: by strings, for the device of a process, with an adapter."""

import logging
import os
import re
from typing import Any

import torch

from ..modeling_glm import GLMForConditionalGeneration
from ..tokenization import GLMTokenizer
from ..utils.inference import unwrap
from .continuations import check_scoring_model

logger = logging.getLogger(__name__)


def join_processes() -> Any:
    """Return an Accelerator if `accelerate launch` or `torchrun` started several processes, else None."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return None
    from accelerate import Accelerator

    return Accelerator()


def choose_device(device: str | None, accelerator: Any = None) -> torch.device:
    """
    Choose the device of a model.

    Args:
        device: Such as "cpu" or "cuda:1". By default an accelerator if there is one.
        accelerator: An Accelerator, whose process has a device of its own.

    Raises:
        ValueError: For a device that does not exist. CUDA without a CUDA device gives a warning instead, because the
            command of the harness sets "cuda:0" if its user sets nothing.
    """
    if accelerator is not None:
        return accelerator.device
    if device is not None and device.startswith("cuda") and not torch.cuda.is_available():
        logger.warning(f"device={device}, but there is no CUDA device: the default is used.")
        device = None
    if device is None:
        found = torch.accelerator.current_accelerator(check_available=True)
        return torch.device("cpu") if found is None else found
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device={device!r}: {str(error).splitlines()[0]}") from None
    return torch.device(device)


def load_scoring_model(
    pretrained: Any,
    tokenizer: Any = None,
    *,
    revision: str = "main",
    subfolder: str = "",
    peft: str | None = None,
    dtype: str | torch.dtype | None = None,
    device: str | None = None,
    accelerator: Any = None,
    **kwargs: Any,
) -> tuple[Any, Any]:
    """
    Load a model that scores continuations, and its tokenizer.

    Args:
        pretrained, tokenizer, revision, subfolder, peft, dtype, device, kwargs: See `GLMHarnessModel`.
        accelerator: What `join_processes` returned.

    Returns:
        The model in eval mode, perhaps in a PEFT wrapper, and the tokenizer.

    Raises:
        ValueError: For a model without a projection to the vocabulary, for unknown arguments, and for arguments of loading
            where `pretrained` is a model.
    """
    if isinstance(pretrained, str | os.PathLike):
        location = {"revision": revision or "main", "subfolder": subfolder}
        place = choose_device(device, accelerator)
        if dtype is None:
            dtype = "float32" if place.type == "cpu" else "auto"
        try:
            model: Any = GLMForConditionalGeneration.from_pretrained(pretrained, dtype=dtype, **location, **kwargs)
        except TypeError as error:  # which names the class of the model and not who gave the argument
            unknown = re.search(r"unexpected keyword argument '(\w+)'", str(error))
            if unknown is None or unknown[1] not in kwargs:
                raise
            raise ValueError(
                f"{unknown[1]}={kwargs[unknown[1]]!r} is an unknown argument of the model: expected one of GLMHarnessModel "
                "or of `from_pretrained`. Correct its name, or leave it out."
            ) from error
        if peft is not None:
            from peft import PeftModel

            model = PeftModel.from_pretrained(model, peft)
        if "device_map" not in kwargs:
            model.to(place)
        tokenizer = GLMTokenizer.from_pretrained(pretrained, **location) if tokenizer is None else tokenizer
    else:
        given = {"peft": peft, "dtype": dtype, "device": device, **kwargs}
        if unused := [name for name, value in given.items() if value is not None]:
            raise ValueError(f"{unused[0]} is for a model to be loaded, but pretrained is a model: prepare the model.")
        model = pretrained
        check_scoring_model(model)
        tokenizer = unwrap(model).name_or_path if tokenizer is None else tokenizer
    if isinstance(tokenizer, str | os.PathLike):
        tokenizer = GLMTokenizer.from_pretrained(tokenizer)
    return model.eval(), tokenizer


__all__ = ["choose_device", "join_processes", "load_scoring_model"]

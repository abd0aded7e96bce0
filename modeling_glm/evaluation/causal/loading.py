"""Load causal models and their tokenizers: folders, repositories on the hub, and GGUF files."""

import struct
from pathlib import Path
from typing import Any

from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedConfig

from ...configuration_glm import GLMConfig
from ..loading import choose_device

GGUF = ".gguf"
# Endings of the classes that predict the next token.
CAUSAL_CLASSES = ("ForCausalLM", "LMHeadModel")


def names_causal_model(name: str, revision: str | None = None) -> bool:
    """Return whether a folder, repository or file holds a causal model of Transformers. A GLM is none."""
    if name.endswith(GGUF):
        return True
    try:
        settings, _ = PreTrainedConfig.get_config_dict(name, revision=revision or "main")
    except (OSError, ValueError):  # whoever loads it says what is wrong
        return False
    if settings.get("model_type") == GLMConfig.model_type or GLMConfig.is_original(settings):
        return False
    return any(str(one).endswith(CAUSAL_CLASSES) for one in settings.get("architectures") or ())


def load_causal_model(
    name: str, *, device: str | None = None, dtype: str | None = None, revision: str | None = None
) -> tuple[Any, Any]:
    """
    Load a causal model in eval mode, and its tokenizer.

    Args:
        name: A folder, the name of a repository, or a GGUF file.
        device: Such as "cpu" or "cuda:1". By default an accelerator if there is one.
        dtype: The type of the weights. By default float32 on a CPU, else that of the checkpoint.
        revision: Branch, tag or commit on the hub.

    Raises:
        OSError: If the file, folder or repository does not exist.
        ValueError: If the device does not exist, for a damaged GGUF file, and where Transformers needs the package `gguf` to read one.
    """
    place = choose_device(device)
    options: dict[str, Any] = {"revision": revision or "main"}
    if name.endswith(GGUF):
        file = Path(name)
        if not file.is_file():
            raise FileNotFoundError(f"Cannot load a model from {name}: there is no such file.")
        name, options = str(file.parent), {"gguf_file": file.name}
    wanted = dtype or ("float32" if place.type == "cpu" else "auto")
    try:
        model: Any = AutoModelForCausalLM.from_pretrained(name, dtype=wanted, **options)
        tokenizer = AutoTokenizer.from_pretrained(name, **options)
    except ImportError as error:
        raise ValueError(f"Cannot load a model from {name}: {str(error).strip().splitlines()[0]}") from error
    except struct.error as error:
        raise ValueError(f"Cannot load a model from {name}: the file is damaged ({error}). Fetch it again.") from error
    return model.to(place).eval(), tokenizer


__all__ = ["load_causal_model", "names_causal_model"]

"""Check that weights are those of a published checkpoint."""

import re
from collections.abc import Mapping
from pathlib import Path

from modeling_glm import GLMConfig
from modeling_glm.configuration_glm import PRESETS

OWN = "own"
HUB_ID = re.compile(r"[\w][\w.-]*/[\w.-]+")
SIZES = {
    "num_hidden_layers": "layers",
    "hidden_size": "width",
    "num_attention_heads": "heads",
    "max_position_embeddings": "positions",
    "vocab_size": "vocabulary",
}


def check_weights(model: str, weights: str, sizes: Mapping[str, Mapping[str, int]] = PRESETS) -> None:
    """
    Check that there are weights, and that their sizes are those of the published model.

    Args:
        model: A published name, or "own" for any other model.
        weights: A folder, or a repository of the hub.
        sizes: The sizes of the published models.

    Raises:
        FileNotFoundError: If a folder has no config.json or no weights.
        ValueError: If the sizes are those of another model.
    """
    folder = Path(weights)
    if not folder.is_dir() and (folder.exists() or not HUB_ID.fullmatch(weights)):
        raise FileNotFoundError(f"--weights {weights} is neither a folder nor the name of a repository, owner/name.")
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise FileNotFoundError(
                f"--weights {weights} has no config.json: expected the folder of a model. Convert an archive of the authors "
                "with modeling-glm convert."
            )
        if not any(any(folder.glob(pattern)) for pattern in ("*.safetensors", "*.bin")):
            raise FileNotFoundError(f"--weights {weights} has a config.json, but no weights (*.safetensors or *.bin).")
    config = GLMConfig.from_pretrained(weights)
    if model == OWN:
        return
    found, wanted = ({name: of[name] for name in SIZES} for of in (config.to_dict(), sizes[model]))
    if found != wanted:
        alike = [name for name, preset in sizes.items() if all(preset[key] == found[key] for key in SIZES)]
        raise ValueError(
            f"--weights {weights} is not {model}: it has {_describe(found)}, but {model} has {_describe(wanted)}. "
            f"Give --model {' or '.join([*alike, OWN])}; with {OWN!r} nothing is compared with the paper."
        )


def _describe(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{label} {sizes[name]}" for name, label in SIZES.items())


__all__ = ["OWN", "check_weights"]

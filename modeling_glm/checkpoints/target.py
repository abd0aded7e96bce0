"""The folder that a conversion makes: what may be replaced, whether it fits on the disk, and the files beside the weights."""

import errno
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import GenerationConfig

from ..configuration_glm import GLMConfig, read_json
from ..hub.card import write_model_card
from ..hub.push import save_code
from ..modeling_glm import GLMPreTrainedModel
from ..tokenization.tokenization_glm import GLMTokenizer
from ..utils.files import is_free, require_absent, require_no_file
from .files import CheckpointError
from .source import Source


def require_safe_target(target: Path, inputs: Sequence[Path], overwrite: bool):
    """
    Make sure that writing the target loses nothing.

    Args:
        target: The folder to make.
        inputs: Files and folders that are read, which must not be inside the target.
        overwrite: Whether the folder of a model may be replaced.

    Raises:
        FileExistsError: if something is there that must not be replaced.
        NotADirectoryError: if a folder above it is a file.
        ValueError: if the target holds an input.
    """
    if not overwrite:
        require_absent(target)
    require_no_file(target.parent)
    for path in inputs:
        # A link is checked by where it stands and by where it leads.
        ways = (path.absolute(), _resolve(path), _resolve(path.parent) / path.name)
        if any(_resolve(target) in (way, *way.parents) for way in ways):
            raise ValueError(f"The target {target} holds the source {path}: choose another name.")
    if not is_free(target) and not (target / "config.json").is_file():
        raise FileExistsError(f"{target} is not the folder of a model, as it has no config.json: it is not replaced.")


def _resolve(path: Path) -> Path:
    """Follow links, also those in a circle, which `Path.resolve` refuses."""
    return Path(os.path.realpath(path))


def require_space(target: Path, needed: int):
    """Raise an `OSError` unless the disk of the target has `needed` bytes free."""
    existing = next(path for path in target.parents if path.is_dir())
    if (free := shutil.disk_usage(existing).free) < needed:
        raise OSError(
            errno.ENOSPC, f"The target takes {needed / 1e9:.2f} GB, but only {free / 1e9:.2f} GB are free", str(target)
        )


def write_companions(
    folder: Path,
    config: GLMConfig,
    model_class: type[GLMPreTrainedModel],
    tokenizer: GLMTokenizer | None,
    source: Source,
    target: Path,
    license: str | None,
):
    """
    Write what stands beside the weights: config, generation config, code and model card.

    Args:
        folder: Where to write.
        config: Of the model.
        model_class: The class of the model.
        tokenizer: Its tokenizer, for the code in the card.
        source: Its generation config and its card are kept and completed.
        target: Where the folder will stand in the end. A card that is there takes the place of the source's.
        license: For the card.

    Raises:
        CheckpointError: if the card that is kept cannot be completed.
    """
    save_code(config, folder)
    config.save_pretrained(folder)
    if model_class.can_generate():
        _write_generation_config(folder, config, model_class, source)
    card = target / "README.md" if (target / "README.md").is_file() else source.find("README.md")
    if card is not None:
        shutil.copyfile(card, folder / "README.md")
    try:
        write_model_card(
            folder,
            config,
            tokenizer,
            model_class=model_class,
            model_id=target.name,
            base_model=source.repository,
            license=license,
        )
    except ValueError as error:
        if card is None:
            raise
        raise CheckpointError(f"{card} cannot be completed. Correct it or remove it: {error}") from error


def _write_generation_config(
    folder: Path, config: GLMConfig, model_class: type[GLMPreTrainedModel], source: Source
) -> None:
    """Write the settings of the source, with the ids that end a piece."""
    with torch.device("meta"):
        own = model_class(config).generation_config
    path = source.find("generation_config.json")
    if path is None:
        own.save_pretrained(folder)
        return
    try:
        read_json(path)  # its errors name the file
        settings = GenerationConfig.from_pretrained(path.parent)
        settings.update(pad_token_id=own.pad_token_id, eos_token_id=own.eos_token_id)
        settings.save_pretrained(folder)
    except OSError:
        raise
    except Exception as error:  # the library checks little of what it takes over
        raise CheckpointError(
            f"{path} does not hold settings for generation ({error}): correct or remove it."
        ) from error


__all__ = ["require_safe_target", "require_space", "write_companions"]

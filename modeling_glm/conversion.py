"""From the checkpoints of others to a folder that every class of Transformers loads, and back."""

import copy
import errno
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

from .checkpoint_files import CheckpointError
from .checkpoint_fit import add_prefix, check_fit, choose_class, detect_config, settle_gmask
from .checkpoint_source import TOKENIZER_FILES, Source, find_source
from .checkpoint_weights import Weights, open_weights
from .configuration_glm import GLMConfig
from .conversion_check import compare_logits
from .files import require_absent, whole_folder
from .hub import save_code
from .model_card import write_model_card
from .modeling_glm import GLMPreTrainedModel
from .tokenization.tokenization_glm import GLMTokenizer
from .weight_writer import write_safetensors, write_shards

PIECE = 2**22  # numbers that are checked, cast and written at a time


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """
    What a conversion did.

    Attributes:
        target: The folder that it wrote.
        config: The config of the model.
        model_class: The class that the weights are for.
        num_tensors, num_bytes: How much was written.
        left_out: Tensors of the source that this class has not.
        not_finite: Tensors with a NaN or an infinity.
        has_tokenizer: Whether a tokenizer was written.
        difference: Largest difference between logits of source and target, where they were compared.
    """

    target: Path
    config: GLMConfig
    model_class: type[GLMPreTrainedModel]
    num_tensors: int
    num_bytes: int
    left_out: list[str]
    not_finite: list[str]
    has_tokenizer: bool
    difference: float | None = None


def convert_checkpoint(
    source: str | os.PathLike,
    target: str | os.PathLike,
    *,
    config: str | os.PathLike | GLMConfig | None = None,
    preset: str | None = None,
    vocabulary: str | os.PathLike | None = None,
    head: str | None = None,
    dtype: torch.dtype | None = None,
    shards: int | None = None,
    max_shard_size: int | str = "5GB",
    check: bool = False,
    overwrite: bool = False,
    license: str | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
) -> Conversion:
    """
    Converts a checkpoint of the authors' training, of a hub repository or of a fine-tuned folder into a folder that
    `from_pretrained` of every class loads: safetensors, config, generation config, tokenizer, code and model card.

    One tensor is in memory at a time. Nothing that a file holds is run. The target appears whole or not at all.

    Args:
        source: A file (`.pt`, `.bin`, `.safetensors`, or the index of several), a folder of model-parallel shards or
            the one above it, a folder of the hub, or the name of a hub repository.
        target: The folder to make.
        config: A config, or the path of one, ours or an original, in place of the source's own or of what the shapes
            tell.
        preset: Name of a published size in its place (see [`GLMConfig.from_preset`]).
        vocabulary: Folder with a tokenizer.json or the originals' vocabulary files; by default the source's own.
            Without any, the target has no tokenizer.
        head: "blank-infilling" leaves all heads out, "classification" keeps that of a classifier. By default the
            head of the class that the source's config names.
        dtype: Of the weights in the target; as in the source if not given.
        shards: Write the authors' layout instead, in so many model-parallel shards.
        max_shard_size: Largest file of weights.
        check: Whether to compare the logits of source and target on a sample, which loads one after the other.
        overwrite: Whether to replace a target that exists.
        license: For the model card.
        revision, token: For the hub.

    Returns:
        A [`Conversion`].

    Raises:
        CheckpointError: if the source cannot be read, is not whole, or does not fit; the message names the tensor, the
            shape found and the shape expected.
        FileNotFoundError, FileExistsError: if there is no source, or a target already.
        OSError: if the target cannot be written.
        ValueError: if the arguments contradict each other.
    """
    if config is not None and preset is not None:
        raise ValueError(f"Both config={str(config)!r} and preset={preset!r} are given: choose one.")
    if shards is not None and shards < 1:
        raise ValueError(f"shards={shards}: expected at least 1.")
    target = Path(os.path.abspath(target))  # "." has a name then
    found = find_source(source, revision, token)
    _require_safe_target(target, found, overwrite)
    # Beside the target, as the system's folder for such things may be in memory.
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=_existing_folder(target)) as scratch:
        weights = open_weights(found, Path(scratch))
        settings, has_preset_ids = _choose_config(found, weights, config, preset)
        model_class = choose_class(settings, weights.tensors, head)
        kept = check_fit(weights.tensors, settings, model_class, found.is_split)
        if has_preset_ids:
            settle_gmask(settings, weights.read)
        tokenizer = _load_tokenizer(found, vocabulary, settings, has_preset_ids)
        has_head = any(add_prefix(name, True) == name for name in kept)
        sources = {add_prefix(name, has_head): origin for name, origin in kept.items()}
        tensors = {name: weights.tensors[origin].to(dtype=dtype) for name, origin in sources.items()}
        settings.architectures = [model_class.__name__]
        settings.dtype = tensors[add_prefix("word_embeddings.weight", has_head)].dtype
        num_bytes = sum(tensor.nbytes for tensor in tensors.values())
        _require_space(target, num_bytes)

        with _explain_write_errors(target), whole_folder(target, overwrite) as folder:
            not_finite = _write_weights(folder, tensors, sources, weights, shards, max_shard_size)
            if shards is None:
                details = {"model_id": target.name, "base_model": found.repository, "license": license}
                _write_companions(folder, settings, model_class, tokenizer, **details)
            else:
                settings.to_json_file(folder / "config.json")
            difference = None
            if check:
                difference = compare_logits(weights, kept, model_class, settings, folder, Path(scratch))

    if not_finite:
        warnings.warn(
            f"{len(not_finite)} tensors hold a NaN or an infinity, as in the source, and the model will answer nonsense: "
            f"{', '.join(not_finite[:5])}{', …' if len(not_finite) > 5 else ''}.",
            stacklevel=2,
        )
    return Conversion(
        target=target,
        config=settings,
        model_class=model_class,
        num_tensors=len(tensors),
        num_bytes=num_bytes,
        left_out=sorted(weights.tensors.keys() - set(kept.values())),
        not_finite=not_finite,
        has_tokenizer=tokenizer is not None and shards is None,
        difference=difference,
    )


def _choose_config(
    source: Source, weights: Weights, config: str | os.PathLike | GLMConfig | None, preset: str | None
) -> tuple[GLMConfig, bool]:
    """The config that was given, the source's own, or what the shapes tell; and whether its ids are a preset's."""
    has_preset_ids = False
    if preset is not None:
        settings, has_preset_ids = GLMConfig.from_preset(preset), True
    elif isinstance(config, GLMConfig):
        settings = copy.deepcopy(config)
    elif config is not None:
        if not os.path.exists(config):
            raise FileNotFoundError(f"There is no config {config}.")
        settings = GLMConfig.from_pretrained(config)
    elif path := source.find("config.json"):
        settings = GLMConfig.from_pretrained(path.parent)
    else:
        settings, has_preset_ids = detect_config(weights.tensors), True
    if "lm_head.weight" in weights.tensors:
        rows = weights.read("word_embeddings.weight")
        settings.tie_word_embeddings = torch.equal(weights.read("lm_head.weight"), rows)
    return settings, has_preset_ids


def _load_tokenizer(
    source: Source, vocabulary: str | os.PathLike | None, config: GLMConfig, has_preset_ids: bool
) -> GLMTokenizer | None:
    """The tokenizer of the given vocabulary or the source's own, whose ids the config takes over."""
    folder = source.vocabulary if vocabulary is None else Path(vocabulary)
    if folder is None:
        return None
    if not folder.is_dir():
        raise FileNotFoundError(
            f"The vocabulary {folder} is no folder: expected one with {', '.join(TOKENIZER_FILES)}."
        )
    shared = config.gmask_token_id is not None and config.gmask_token_id == config.eop_token_id
    tokenizer = GLMTokenizer.from_pretrained(folder, shared_gmask=shared)
    if len(tokenizer) > config.vocab_size:
        raise CheckpointError(
            f"The vocabulary in {folder} has {len(tokenizer)} tokens, but word_embeddings.weight {config.vocab_size} "
            "rows: it belongs to another model."
        )
    ids = tokenizer.special_token_ids
    if has_preset_ids:
        for name, token_id in ids.items():
            if getattr(config, name) not in (None, token_id):
                raise CheckpointError(
                    f"The vocabulary in {folder} has the {name} {token_id}, but the published checkpoint of this size "
                    f"{getattr(config, name)}: it belongs to another model. If it is right, give a config of your own."
                )
    config.update(ids)
    return tokenizer


def _write_weights(
    folder: Path,
    tensors: dict[str, torch.Tensor],
    sources: dict[str, str],
    weights: Weights,
    shards: int | None,
    max_shard_size: int | str,
) -> list[str]:
    """Writes `tensors`, each from its name in the source; the names of those that are not finite."""
    not_finite = set()
    total = sum(tensor.nbytes for tensor in tensors.values()) * (shards or 1)
    with tqdm(total=total, desc="converting", unit="B", unit_scale=True, disable=None) as bar:

        def stream(name: str) -> Iterator[torch.Tensor]:
            for block in weights.stream(sources[name]):
                for piece in block.flatten().split(PIECE):
                    if not torch.isfinite(piece).all():
                        not_finite.add(name)
                    yield piece.to(tensors[name].dtype)
                    bar.update(piece.numel() * tensors[name].itemsize)

        def read(name: str) -> torch.Tensor:
            return torch.cat(list(stream(name))).view(tensors[name].shape)

        if shards is None:
            write_safetensors(folder, tensors, stream, max_shard_size)
        else:
            write_shards(folder, list(tensors), read, shards, int(weights.extras.get("iteration", 0)))
    return [name for name in tensors if name in not_finite]


def _write_companions(
    folder: Path,
    config: GLMConfig,
    model_class: type[GLMPreTrainedModel],
    tokenizer: GLMTokenizer | None,
    **card: Any,
):
    """Everything in a model's folder but its weights."""
    save_code(config, folder)
    config.save_pretrained(folder)
    if model_class.can_generate():
        with torch.device("meta"):
            model_class(config).generation_config.save_pretrained(folder)
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)
    write_model_card(folder, config, tokenizer, model_class=model_class, **card)


def _require_safe_target(target: Path, source: Source, overwrite: bool):
    if not overwrite:
        require_absent(target)
    for path in source.files:
        if target.resolve() in (path.absolute(), *path.absolute().parents, *path.resolve().parents):
            raise ValueError(f"The target {target} holds the source {path}: choose another name.")


def _existing_folder(target: Path) -> Path:
    """The innermost folder above the target that exists."""
    return next(path for path in target.parents if path.is_dir())


def _require_space(target: Path, needed: int):
    if (free := shutil.disk_usage(_existing_folder(target)).free) < needed:
        raise OSError(
            errno.ENOSPC, f"The target takes {needed / 1e9:.2f} GB, but only {free / 1e9:.2f} GB are free", str(target)
        )


@contextmanager
def _explain_write_errors(target: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        message = f"The target was not made, because it could not be written ({error.strerror or error})"
        raise OSError(error.errno or errno.EIO, message, str(target)) from error


__all__ = ["Conversion", "convert_checkpoint"]

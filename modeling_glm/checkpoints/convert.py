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
from transformers import GenerationConfig

from ..configuration_glm import GLMConfig
from ..hub.card import write_model_card
from ..hub.push import save_code
from ..modeling_glm import GLMPreTrainedModel
from ..tokenization.tokenization_glm import GLMTokenizer
from ..utils.files import is_free, require_absent, whole_folder
from .compare import compare_logits
from .files import CheckpointError
from .fit import add_prefix, check_fit, choose_class, detect_config, is_of_head, shares_gmask
from .source import TOKENIZER_FILES, Source, find_source
from .weights import Weights, open_weights
from .writer import write_safetensors, write_shards

CHUNK = 2**22  # numbers that are checked, cast and written at a time
# By these ids vocabularies are told apart. Those of padding differ between the authors' code and the hub's.
TOLD_APART_BY = ("cls_token_id", "mask_token_id", "smask_token_id", "gmask_token_id", "sop_token_id", "eop_token_id")


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
    shared_gmask: bool | None = None,
    check: bool = False,
    overwrite: bool = False,
    license: str | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
) -> Conversion:
    """
    Converts a checkpoint of the authors' training, of a hub repository or of a fine-tuned folder into a folder that
    `from_pretrained` of every class loads: safetensors, config, generation config, tokenizer, code and model card.

    A few tensors are in memory at a time (one shard of the target with `shards`, the model with `check`). Nothing that a
    file holds is run. The target appears whole or not at all. A model card in the source, or in a target that is
    overwritten, is kept and completed.

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
        shards: Write the authors' layout instead, in so many model-parallel shards: for models without a head alone.
        max_shard_size: Largest file of weights.
        shared_gmask: Whether `[gMASK]` is the end of a piece as well, as in GLM-10B-Chinese when it was trained. By
            default what config, vocabulary and, at that size, the weights tell.
        check: Whether to compare the logits of source and target on a sample, which loads one after the other.
        overwrite: Whether to replace a target that exists, if it is the folder of a model.
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
    inputs = [*found.files, *found.folders]
    inputs += [Path(path) for path in (vocabulary, config) if isinstance(path, str | os.PathLike)]
    _require_safe_target(target, inputs, overwrite)
    # Beside the target, as the system's folder for such things may be in memory.
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=_existing_folder(target)) as scratch:
        weights = open_weights(found, Path(scratch))
        settings, has_preset_ids = _choose_config(found, weights, config, preset)
        model_class = choose_class(settings, weights.tensors, head)
        kept = check_fit(weights.tensors, settings, model_class, found.is_split)
        shared_gmask = _settle_gmask(settings, weights, has_preset_ids, shared_gmask)
        tokenizer = _load_tokenizer(found, vocabulary, settings, has_preset_ids, shared_gmask)
        has_head = any(map(is_of_head, kept))
        if has_head and shards is not None:
            raise ValueError(f"shards={shards}: the authors' layout is for the model without its head. Leave it out.")
        sources = {add_prefix(name, has_head): origin for name, origin in kept.items()}
        tensors = {name: weights.tensors[origin].to(dtype=dtype) for name, origin in sources.items()}
        settings.architectures = [model_class.__name__]
        settings.dtype = tensors[add_prefix("word_embeddings.weight", has_head)].dtype
        num_bytes = sum(tensor.nbytes for tensor in tensors.values())
        _require_space(target, num_bytes)

        with _explain_write_errors(target), whole_folder(target, overwrite) as folder:
            not_finite = _write_weights(folder, tensors, sources, weights, shards, max_shard_size)
            if tokenizer is not None:
                tokenizer.save_pretrained(folder)
            if shards is None:
                details = {"model_id": target.name, "base_model": found.repository, "license": license}
                _write_companions(folder, settings, model_class, tokenizer, found, target, details)
            else:
                settings.to_json_file(folder / "config.json")
            difference = None
            if check:
                difference = compare_logits(weights, kept, model_class, settings, folder, Path(scratch))

    if not_finite:
        warnings.warn(
            f"{len(not_finite)} tensors hold a NaN or an infinity, and the model will answer nonsense: "
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
        has_tokenizer=tokenizer is not None,
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
        settings = _read_config(Path(config))
    elif path := source.find("config.json"):
        settings = _read_config(path)
    else:
        settings, has_preset_ids = detect_config(weights.tensors), True
    if hasattr(settings, "quantization_config"):
        del settings.quantization_config  # the weights here are not quantised
    if "lm_head.weight" in weights.tensors:
        rows = weights.read("word_embeddings.weight")
        settings.tie_word_embeddings = torch.equal(weights.read("lm_head.weight"), rows)
    return settings, has_preset_ids


def _read_config(path: Path) -> GLMConfig:
    if not path.exists():
        raise FileNotFoundError(f"There is no config {path}.")
    try:
        return GLMConfig.from_pretrained(path)
    except (AttributeError, TypeError, OSError) as error:
        raise CheckpointError(f"{path} is no config of a model: {error}") from error


def _settle_gmask(config: GLMConfig, weights: Weights, has_preset_ids: bool, shared: bool | None) -> bool:
    """Whether `[gMASK]` is the end of a piece as well; the ids of the config follow."""
    known, end = config.gmask_token_id, config.eop_token_id
    if shared is None:
        shared = known is not None and known == end
        if has_preset_ids or known is None:
            shared = shared or shares_gmask(config, weights.read)
    if shared:
        config.gmask_token_id = end
    elif known is not None and known == end:
        config.gmask_token_id = None  # the vocabulary has another
    return shared


def _load_tokenizer(
    source: Source,
    vocabulary: str | os.PathLike | None,
    config: GLMConfig,
    has_preset_ids: bool,
    shared_gmask: bool,
) -> GLMTokenizer | None:
    """The tokenizer of the given vocabulary or the source's own, whose ids the config takes over."""
    folder = source.vocabulary if vocabulary is None else Path(vocabulary)
    if folder is None:
        return None
    if not folder.is_dir():
        raise FileNotFoundError(
            f"The vocabulary {folder} is no folder: expected one with {', '.join(TOKENIZER_FILES)}."
        )
    try:
        tokenizer = GLMTokenizer.from_pretrained(folder, shared_gmask=shared_gmask)
    except Exception as error:  # the library for tokenizers has no class of its own for damaged files
        raise CheckpointError(f"The vocabulary in {folder} cannot be read: {error}") from error
    if len(tokenizer) > config.vocab_size:
        raise CheckpointError(
            f"The vocabulary in {folder} has {len(tokenizer)} tokens, but word_embeddings.weight {config.vocab_size} "
            "rows: it belongs to another model."
        )
    ids = tokenizer.special_token_ids
    if has_preset_ids or vocabulary is not None:  # else the config read them off the same files
        for name in TOLD_APART_BY:
            if (known := getattr(config, name)) is not None and known != ids.get(name):
                raise CheckpointError(
                    f"The vocabulary in {folder} has the {name} {ids.get(name)}, but "
                    f"{'the published checkpoint of this size' if has_preset_ids else 'the config'} has {known}: it "
                    "belongs to another model. If it is the right one, give a config that says so."
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
                for chunk in block.flatten().split(CHUNK):
                    chunk = chunk.to(tensors[name].dtype)
                    if not torch.isfinite(chunk).all():
                        not_finite.add(name)
                    yield chunk
                    bar.update(chunk.nbytes)

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
    source: Source,
    target: Path,
    details: dict[str, Any],
):
    """Config, generation config, code and card. What the source has of them is taken over, as is the target's card."""
    save_code(config, folder)
    config.save_pretrained(folder)
    if model_class.can_generate():
        with torch.device("meta"):
            settings = model_class(config).generation_config
        if path := source.find("generation_config.json"):
            ids = {"pad_token_id": settings.pad_token_id, "eos_token_id": settings.eos_token_id}
            settings = GenerationConfig.from_pretrained(path.parent)
            settings.update(**ids)
        settings.save_pretrained(folder)
    card = target / "README.md" if (target / "README.md").is_file() else source.find("README.md")
    if card is not None:
        shutil.copyfile(card, folder / "README.md")
    try:
        write_model_card(folder, config, tokenizer, model_class=model_class, **details)
    except ValueError as error:
        if card is None:
            raise
        raise CheckpointError(f"{card} cannot be completed, correct it or take it away: {error}") from error


def _require_safe_target(target: Path, inputs: list[Path], overwrite: bool):
    if not overwrite:
        require_absent(target)
    for path in inputs:
        ways = (path.absolute(), path.resolve(), path.parent.resolve() / path.name)
        if any(target.resolve() in (way, *way.parents) for way in ways):
            raise ValueError(f"The target {target} holds the source {path}: choose another name.")
    if not is_free(target) and not (target / "config.json").is_file():
        raise FileExistsError(f"{target} is not the folder of a model, as it has no config.json: it is not replaced.")


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

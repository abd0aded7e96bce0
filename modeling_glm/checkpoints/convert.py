"""Convert the checkpoints of others into a folder that every class of Transformers loads, and back."""

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm.auto import tqdm

from ..configuration_glm import GLMConfig
from ..modeling_glm import GLMPreTrainedModel
from ..tokenization.tokenization_glm import GLMTokenizer
from ..utils.files import whole_folder
from .compare import compare_logits
from .files import DTYPES
from .fit import add_prefix, check_fit, choose_class, is_of_head
from .identity import choose_config, load_tokenizer, settle_gmask
from .shards import read_count
from .source import Source, find_source
from .target import require_safe_target, require_space, write_companions
from .weights import Weights, open_weights
from .writer import write_safetensors, write_shards

CHUNK = 2**22  # elements that are checked, cast and written at a time


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """
    The result of a conversion.

    Attributes:
        target: The folder that was written.
        config: The config of the model.
        model_class: The class that the weights are for.
        num_tensors, num_bytes: How much was written.
        left_out: Tensors of the source that this class does not have.
        not_finite: Tensors with a NaN or an infinity.
        has_tokenizer: Whether a tokenizer was written.
        difference: Largest difference between the logits of source and target; None if they were not compared.
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


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """
    Hold all that a conversion writes.

    Attributes:
        config: The config of the model.
        model_class: The class of the model.
        tokenizer: Its tokenizer.
        kept: For every tensor, by its name in the base model or in the head, its name in the source.
        tensors: Shape and dtype of every tensor, by its name in the target, on the meta device.
        sources: The same names, and for each its name in the source.
    """

    config: GLMConfig
    model_class: type[GLMPreTrainedModel]
    tokenizer: GLMTokenizer | None
    kept: dict[str, str]
    tensors: dict[str, torch.Tensor]
    sources: dict[str, str]

    @property
    def num_bytes(self) -> int:
        """The size of the weights."""
        return sum(tensor.nbytes for tensor in self.tensors.values())


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
    Convert a checkpoint of the authors' training, a hub repository or a fine-tuned folder into a folder that
    `from_pretrained` of every class loads: safetensors, config, generation config, tokenizer, code and model card.

    Only a few tensors are in memory at a time (with `shards` one shard of the target, with `check` the model). Nothing
    in the files is executed. The target appears whole or not at all. A model card in the source, or in a target that
    is overwritten, is kept and completed.

    Args:
        source: A file (`.pt`, `.bin`, `.safetensors`, or the index of several), a folder of model-parallel shards or
            the one above it, a folder of the hub, or the name of a hub repository.
        target: The folder to make.
        config: A config or its path, ours or an original, in place of the source's own or the one that the shapes of
            the tensors tell.
        preset: Name of a published size in its place (see `GLMConfig.from_preset`).
        vocabulary: Folder with a tokenizer.json or the originals' vocabulary files. The default is the source's own.
            Without any, the target has no tokenizer.
        head: "blank-infilling" leaves out all heads, "classification" keeps that of a classifier. The default is the
            head of the class that the source's config names.
        dtype: The dtype of the weights in the target. The default is that of the source.
        shards: Write the authors' layout instead, in this many model-parallel shards; only for models without a head.
        max_shard_size: Largest file of weights, in bytes or as "5GB".
        shared_gmask: Whether `[gMASK]` is the end of a piece as well, as in GLM-10B-Chinese when it was trained. The
            default follows the config, the vocabulary and, at that size, the weights.
        check: Whether to compare the logits of source and target on a sample. It loads one after the other.
        overwrite: Whether to replace a target that exists, if it is the folder of a model.
        license: For the model card.
        revision, token: For the hub.

    Returns:
        A `Conversion`.

    Raises:
        CheckpointError: if the source cannot be read, is not whole, or does not fit. The message names the tensor, the
            shape found and the shape expected.
        FileNotFoundError: if the source does not exist.
        FileExistsError: if the target exists and must not be replaced.
        OSError: if the target cannot be written.
        ValueError: if the arguments contradict each other.
    """
    if config is not None and preset is not None:
        raise ValueError(f"Both config={str(config)!r} and preset={preset!r} are given: choose one.")
    if shards is not None and (type(shards) is not int or shards < 1):
        raise ValueError(f"shards={shards!r}: expected a whole number of at least 1.")
    if dtype is not None and dtype not in DTYPES.values():
        raise ValueError(f"dtype={dtype!r}: expected one of {', '.join(map(str, DTYPES.values()))}.")
    target = Path(os.path.abspath(target))  # "." gets a name
    found = find_source(source, revision, token)
    given = [Path(path) for path in (vocabulary, config) if isinstance(path, str | os.PathLike)]
    require_safe_target(target, [*found.files, *found.folders, *given], overwrite)
    weights = open_weights(found)
    identity = choose_config(found, weights, config, preset)
    model_class = choose_class(identity.config, weights.tensors, head)
    kept = check_fit(weights.tensors, identity.config, model_class, found.is_split)
    shared_gmask = settle_gmask(identity, weights, shared_gmask)
    tokenizer = load_tokenizer(found, vocabulary, identity, shared_gmask)
    iteration = 0 if shards is None else read_count(weights.extras, "iteration", 0)
    if shards is not None and any(map(is_of_head, kept)):
        raise ValueError(f"shards={shards}: the authors' layout is for the model without its head. Leave it out.")
    plan = _make_plan(identity.config, model_class, tokenizer, kept, weights, dtype)
    require_space(target, plan.num_bytes)
    with whole_folder(target, overwrite) as folder:
        not_finite = _write_weights(folder, plan, weights, shards, iteration, max_shard_size)
        _write_others(folder, plan, found, target, shards, license)
        difference = None
        if check:
            difference = compare_logits(weights, kept, model_class, plan.config, folder)

    if not_finite:
        warnings.warn(
            f"{len(not_finite)} tensors hold a NaN or an infinity, and the model will answer nonsense: "
            f"{', '.join(not_finite[:5])}{', …' if len(not_finite) > 5 else ''}.",
            stacklevel=2,
        )
    return Conversion(
        target=target,
        config=plan.config,
        model_class=model_class,
        num_tensors=len(plan.tensors),
        num_bytes=plan.num_bytes,
        left_out=sorted(weights.tensors.keys() - set(kept.values())),
        not_finite=not_finite,
        has_tokenizer=tokenizer is not None,
        difference=difference,
    )


def _make_plan(
    config: GLMConfig,
    model_class: type[GLMPreTrainedModel],
    tokenizer: GLMTokenizer | None,
    kept: dict[str, str],
    weights: Weights,
    dtype: torch.dtype | None,
) -> _Plan:
    """Name the tensors of the target. The config takes over their dtype and the name of the class."""
    has_head = any(map(is_of_head, kept))
    sources = {add_prefix(name, has_head): origin for name, origin in kept.items()}
    tensors = {name: weights.tensors[origin].to(dtype=dtype) for name, origin in sources.items()}
    config.architectures = [model_class.__name__]
    config.dtype = tensors[add_prefix("word_embeddings.weight", has_head)].dtype
    return _Plan(
        config=config, model_class=model_class, tokenizer=tokenizer, kept=kept, tensors=tensors, sources=sources
    )


def _write_weights(
    folder: Path, plan: _Plan, weights: Weights, shards: int | None, iteration: int, max_shard_size: int | str
) -> list[str]:
    """Write the tensors, and return the names of those that are not finite."""
    not_finite = set()
    total = plan.num_bytes * (shards or 1)  # for shards every tensor is read once a shard
    with tqdm(total=total, desc="converting", unit="B", unit_scale=True, disable=None) as bar:

        def stream(name: str) -> Iterator[torch.Tensor]:
            for block in weights.stream(plan.sources[name]):
                for chunk in block.flatten().split(CHUNK):
                    chunk = chunk.to(plan.tensors[name].dtype)
                    if not _is_finite(chunk):
                        not_finite.add(name)
                    yield chunk
                    bar.update(chunk.nbytes)

        # Shards are split along any dimension, so they need whole tensors.
        def read(name: str) -> torch.Tensor:
            return torch.cat(list(stream(name))).view(plan.tensors[name].shape)

        if shards is None:
            write_safetensors(folder, plan.tensors, stream, max_shard_size)
        else:
            write_shards(folder, list(plan.tensors), read, shards, iteration)
    return [name for name in plan.tensors if name in not_finite]


def _is_finite(chunk: torch.Tensor) -> bool:
    """Return whether a chunk has neither NaN nor infinity."""
    # Smallest and largest number pass a NaN on. `torch.isfinite` of all numbers took longer than to copy them.
    return not chunk.numel() or bool(torch.isfinite(torch.stack(chunk.aminmax())).all())


def _write_others(folder: Path, plan: _Plan, source: Source, target: Path, shards: int | None, license: str | None):
    """Write all but the weights. The authors' layout has only a config and the vocabulary beside its shards."""
    if plan.tokenizer is not None:
        plan.tokenizer.model_max_length = plan.config.max_position_embeddings
        plan.tokenizer.save_pretrained(folder)
    if shards is None:
        write_companions(folder, plan.config, plan.model_class, plan.tokenizer, source, target, license)
    else:
        plan.config.to_json_file(folder / "config.json")


__all__ = ["Conversion", "convert_checkpoint"]

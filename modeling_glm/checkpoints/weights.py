"""Read all files of a checkpoint as the tensors of one model."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from .files import CheckpointError, TensorFile, open_tensors
from .shards import Stream, merge_shards
from .source import Source


@dataclass(frozen=True, kw_only=True)
class Weights:
    """
    The tensors of a whole model, in any number of files.

    Attributes:
        tensors: Shape and dtype of every tensor on the meta device, by its name in the published checkpoints.
        stream: Reads one of them in blocks that follow each other along dimension 0.
        extras: What else the first file holds, such as `iteration`.
    """

    tensors: dict[str, torch.Tensor]
    stream: Stream
    extras: dict[str, Any] = field(default_factory=dict)

    def read(self, name: str) -> torch.Tensor:
        """Read a whole tensor."""
        blocks = list(self.stream(name))
        return blocks[0] if len(blocks) == 1 else torch.cat(blocks)


def open_weights(source: Source) -> Weights:
    """
    Open the files of a checkpoint as one model.

    Args:
        source: The checkpoint.

    Raises:
        CheckpointError: if a file cannot be read, or the files do not belong together.
    """
    files = {path: open_tensors(path) for path in source.files}
    if source.weight_map is None:
        tensors, stream = merge_shards(list(files.values()))
    else:
        tensors, stream = _join(files, source.weight_map)

    # A wrapper may stand before all names ("module."), and before those of the base model beside a head ("glm."):
    # "module.glm.word_embeddings.weight" and "module.dense.bias" -> "word_embeddings.weight" and "dense.bias".
    outer = _common_prefix(list(tensors))
    embeddings = next((name for name in tensors if name.endswith("word_embeddings.weight")), "")
    inner = embeddings.removesuffix("word_embeddings.weight").removeprefix(outer)
    names: dict[str, str] = {}
    for name in tensors:
        if (other := names.setdefault(name.removeprefix(outer).removeprefix(inner), name)) != name:
            raise CheckpointError(f"{other} and {name} are the same tensor of a GLM: expected one of them.")
    return Weights(
        tensors={name: tensors[original] for name, original in names.items()},
        stream=lambda name: stream(names[name]),
        extras=files[source.files[0]].extras,
    )


def _common_prefix(names: list[str]) -> str:
    """Find the parts that all names begin with: ["a.b.c", "a.b.d", "a.bc"] -> "a." """
    common = []
    for parts in zip(*(name.split(".")[:-1] for name in names), strict=False):
        if len(set(parts)) > 1:
            break
        common.append(f"{parts[0]}.")
    return "".join(common)


def _join(files: dict[Path, TensorFile], weight_map: dict[str, Path]) -> tuple[dict[str, torch.Tensor], Stream]:
    """Join files that hold different tensors, as an index lists them."""
    for name, path in weight_map.items():
        if name not in files[path].tensors:
            raise CheckpointError(f"The index says that {path} holds {name}, but it does not: get both files again.")
    tensors = {name: files[path].tensors[name] for name, path in weight_map.items()}

    def stream(name: str) -> Iterator[torch.Tensor]:
        yield files[weight_map[name]].read(name)
        files[weight_map[name]].release()

    return tensors, stream


__all__ = ["Weights", "open_weights"]

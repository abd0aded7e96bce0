"""Merge the model-parallel shards of the originals' training, and split a model into such shards."""

import re
import reprlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from .files import CheckpointError, TensorFile

# Reads the tensor of a name, in blocks that follow each other along dimension 0.
Stream = Callable[[str], Iterator[torch.Tensor]]


class SplitLayout(NamedTuple):
    """
    How a tensor is split over shards.

    Attributes:
        dimension: The dimension that is split.
        parts: How many parts the tensor has along it, each of which is split on its own.
    """

    dimension: int
    parts: int


LARGEST_COUNT = 10**12

# By the end of the tensor's name. All other tensors are whole in every shard.
LAYOUTS = {
    r"word_embeddings\.weight$|\.mlp\.dense_h_to_4h\.(?:weight|bias)$": SplitLayout(0, parts=1),
    r"\.attention\.query_key_value\.(?:weight|bias)$": SplitLayout(0, parts=3),  # queries, keys and values
    r"\.attention\.dense\.weight$|\.mlp\.dense_4h_to_h\.weight$": SplitLayout(1, parts=1),
}


def read_count(extras: Mapping[str, Any], name: str, default: int) -> int:
    """
    Read a whole number that stands beside the tensors of a file.

    Raises:
        CheckpointError: if it is something else, or cannot be the number of anything.
    """
    count = extras.get(name, default)
    if isinstance(count, float) and count.is_integer() and abs(count) < LARGEST_COUNT:
        count = int(count)
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count < LARGEST_COUNT:
        raise CheckpointError(
            f"The file has {name}={reprlib.repr(count)}: expected a whole number from 0 to {LARGEST_COUNT:,}."
        )
    return count


def find_layout(name: str) -> SplitLayout | None:
    """Find how a tensor is split; None if every shard has the whole tensor."""
    return next((layout for pattern, layout in LAYOUTS.items() if re.search(pattern, name)), None)


def merge_tensor(name: str, pieces: Sequence[torch.Tensor]) -> torch.Tensor:
    """
    Merge the pieces of a tensor, in the order of the shards.

    Raises:
        CheckpointError: if the pieces do not belong together.
    """
    for kind, found in (("dtype", {p.dtype for p in pieces}), ("shape", {tuple(p.shape) for p in pieces})):
        if len(found) > 1:
            raise CheckpointError(f"{name} has the {kind}s {', '.join(map(str, found))} in the shards: expected one.")
    layout = find_layout(name)
    if layout is None:
        return pieces[0]
    dimension, parts = layout
    if pieces[0].ndim <= dimension or pieces[0].shape[dimension] % parts:
        raise CheckpointError(f"{name} has the shape {tuple(pieces[0].shape)} in a shard, which cannot be merged.")
    # Two shards of three parts: [q0 k0 v0] [q1 k1 v1] -> [q0 q1 k0 k1 v0 v1]
    chunks = zip(*(piece.chunk(parts, dimension) for piece in pieces), strict=True)
    return torch.cat([chunk for part in chunks for chunk in part], dimension)


def split_tensor(name: str, tensor: torch.Tensor, number: int) -> list[torch.Tensor]:
    """
    Split a tensor into the pieces of `number` shards. `merge_tensor` undoes it.

    Raises:
        CheckpointError: if the tensor cannot be split evenly.
    """
    layout = find_layout(name)
    if layout is None:
        return [tensor] * number
    dimension, parts = layout
    if tensor.shape[dimension] % (parts * number):
        raise CheckpointError(
            f"{name} has the shape {tuple(tensor.shape)}, of which dimension {dimension} cannot be split into "
            f"{parts * number} equal parts for {number} shards."
        )
    chunks = [part.chunk(number, dimension) for part in tensor.chunk(parts, dimension)]
    return [torch.cat(pieces, dimension) for pieces in zip(*chunks, strict=True)]


def merge_shards(shards: Sequence[TensorFile]) -> tuple[dict[str, torch.Tensor], Stream]:
    """
    Merge shards into one model.

    Returns:
        The tensors of the model on the meta device, and a function that reads one of them in blocks of rows.

    Raises:
        CheckpointError: if shards are missing or come from different runs. Reading raises it too, for a tensor that
            must be the same in all shards and is not.
    """
    first = shards[0]
    if (expected := read_count(first.extras, "mp_world_size", len(shards))) != len(shards):
        raise CheckpointError(
            f"{first.path} is one of {expected} shards, but there are {len(shards)}: give the folder that has all."
        )
    for shard in shards[1:]:
        if different := sorted(first.tensors.keys() ^ shard.tensors.keys()):
            raise CheckpointError(
                f"{first.path} and {shard.path} hold different tensors (such as {different[0]}): they are not "
                "shards of one model."
            )
        for key in first.extras.keys() & shard.extras.keys() & {"iteration", "global_steps"}:
            if first.extras[key] != shard.extras[key]:
                raise CheckpointError(
                    f"{first.path} has the {key} {first.extras[key]}, {shard.path} {shard.extras[key]}: they are shards "
                    "of different runs."
                )
    tensors = {name: merge_tensor(name, [shard.tensors[name] for shard in shards]) for name in first.tensors}
    return tensors, lambda name: _stream(name, shards)


def _stream(name: str, shards: Sequence[TensorFile]) -> Iterator[torch.Tensor]:
    layout = find_layout(name)
    if layout is not None and layout.dimension == 0:
        # One piece at a time, so that the largest tensors are never whole in memory.
        for part in range(layout.parts):
            for shard in shards:
                yield shard.read(name).chunk(layout.parts)[part]
                shard.release()
        return
    pieces = [shard.read(name) for shard in shards]
    if layout is None:
        for shard, piece in zip(shards, pieces, strict=True):
            # Compared as bytes, so that a NaN equals itself.
            if not torch.equal(_as_bytes(piece), _as_bytes(pieces[0])):
                raise CheckpointError(
                    f"{name} differs between {shards[0].path} and {shard.path}, and must be the same in every shard: "
                    "they are shards of different runs, or one is damaged."
                )
    yield merge_tensor(name, pieces)
    for shard in shards:
        shard.release()


def _as_bytes(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.contiguous().flatten().view(torch.uint8)


__all__ = ["Stream", "merge_shards", "merge_tensor", "read_count", "split_tensor"]

"""How the originals' training split a model over several GPUs, and what merges and splits it again."""

import re
from collections.abc import Callable, Iterator, Sequence

import torch

from .files import CheckpointError, TensorFile

# Reads a tensor of a name: as blocks that follow each other along dimension 0.
Stream = Callable[[str], Iterator[torch.Tensor]]

# How a tensor is split: (dimension, parts that are each split on their own). Everything else is whole in every shard.
LAYOUTS = {
    r"word_embeddings\.weight$|\.mlp\.dense_h_to_4h\.(?:weight|bias)$": (0, 1),
    r"\.attention\.query_key_value\.(?:weight|bias)$": (0, 3),  # queries, keys and values
    r"\.attention\.dense\.weight$|\.mlp\.dense_4h_to_h\.weight$": (1, 1),
}


def find_layout(name: str) -> tuple[int, int] | None:
    """The dimension that a tensor is split along, and in how many parts; None if every shard has the whole tensor."""
    return next((layout for pattern, layout in LAYOUTS.items() if re.search(pattern, name)), None)


def merge_tensor(name: str, pieces: Sequence[torch.Tensor]) -> torch.Tensor:
    """
    The tensor of the whole model from its pieces in the shards, in their order.

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
    # [q0 k0 v0] [q1 k1 v1] -> [q0 q1 k0 k1 v0 v1]
    chunks = zip(*(piece.chunk(parts, dimension) for piece in pieces), strict=True)
    return torch.cat([chunk for part in chunks for chunk in part], dimension)


def split_tensor(name: str, tensor: torch.Tensor, number: int) -> list[torch.Tensor]:
    """
    The pieces of a tensor for `number` shards: what `merge_tensor` merges.

    Raises:
        CheckpointError: if it cannot be split evenly.
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
    The model whose shards these are.

    Returns:
        Its tensors on the meta device, and what reads one of them in consecutive blocks of rows.

    Raises:
        CheckpointError: if the shards are of different runs or not all there. Reading raises it, too, for tensors that
            must be the same in all shards and are not.
    """
    first = shards[0]
    if (expected := first.extras.get("mp_world_size", len(shards))) != len(shards):
        raise CheckpointError(
            f"{first.path} is one of {expected} shards, but there are {len(shards)}: give the folder that has all."
        )
    for shard in shards[1:]:
        if different := sorted(first.tensors.keys() ^ shard.tensors.keys()):
            raise CheckpointError(
                f"{first.path} and {shard.path} hold different tensors (such as {different[0]}): they are no shards of "
                "one model."
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
    if layout is not None and layout[0] == 0:
        # One piece after the other, so that the largest tensors are never whole in memory.
        for part in range(layout[1]):
            for shard in shards:
                yield shard.read(name).chunk(layout[1])[part]
                shard.release()
        return
    pieces = [shard.read(name) for shard in shards]
    if layout is None:
        for shard, piece in zip(shards, pieces, strict=True):
            # As bytes: a NaN is equal to itself, too.
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


__all__ = ["Stream", "merge_shards", "merge_tensor", "split_tensor"]

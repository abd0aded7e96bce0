"""Write weights one tensor at a time: to safetensors, and to the shards of the originals' training."""

import json
import struct
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import split_state_dict_into_shards_factory
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME

from .files import DTYPES
from .shards import Stream, split_tensor

DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}


def write_safetensors(folder: Path, tensors: Mapping[str, torch.Tensor], stream: Stream, max_shard_size: int | str):
    """
    Write `model.safetensors`, or several files and their index beyond `max_shard_size`, as `save_pretrained` does.

    The library's own writers need all tensors of a file in memory.

    Args:
        folder: Where to write.
        tensors: Shape and dtype of every tensor by its name. They may be meta tensors.
        stream: Reads a tensor in blocks when its turn comes.
        max_shard_size: In bytes, or as "5GB".
    """
    split = split_state_dict_into_shards_factory(
        dict(tensors),
        get_storage_size=lambda tensor: tensor.nbytes,
        filename_pattern="model{suffix}.safetensors",
        max_shard_size=max_shard_size,
    )
    for file_name, names in split.filename_to_tensors.items():
        # Wide dtypes first, so that every tensor begins at a multiple of its own width: fp32, then fp16.
        ordered = sorted(names, key=lambda name: -tensors[name].itemsize)
        _write_file(folder / file_name, {name: tensors[name] for name in ordered}, stream)
    if split.is_sharded:
        index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
        (folder / SAFE_WEIGHTS_INDEX_NAME).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _write_file(path: Path, tensors: Mapping[str, torch.Tensor], stream: Stream):
    """
    Write one file of the format: 8 bytes with the length of the header, the header as JSON padded with spaces to a
    multiple of 8 bytes, and the data.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    position = 0
    for name, tensor in tensors.items():
        offsets = [position, position + tensor.nbytes]
        header[name] = {"dtype": DTYPE_NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": offsets}
        position += tensor.nbytes
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(encoded)) + encoded)
        for name in tensors:
            for block in stream(name):
                file.write(block.contiguous().flatten().view(torch.uint8).numpy().data)


def write_shards(folder: Path, names: list[str], read: Callable[[str], torch.Tensor], number: int, iteration: int):
    """
    Write the layout of the originals' training: `<iteration>/mp_rank_XX_model_states.pt` and the file that names it.

    Args:
        folder: Where to write.
        names: The tensors in their order.
        read: Reads a tensor. It is called once for every shard, so that only one shard is in memory.
        number: How many shards.
        iteration: The number of the training step.

    Raises:
        CheckpointError: if the model cannot be split evenly.
        OSError: if a file cannot be written.
    """
    below = folder / str(iteration)
    below.mkdir()
    for rank in range(number):
        module = OrderedDict((name, split_tensor(name, read(name), number)[rank].clone()) for name in names)
        with open(below / f"mp_rank_{rank:02d}_model_states.pt", "wb") as file:
            try:
                torch.save({"iteration": iteration, "module": module}, file)
            except RuntimeError as error:
                # After a write that failed, closing the archive fails too: raise the first error.
                raise (error.__context__ if isinstance(error.__context__, OSError) else error) from None
        del module  # before the next is built
    (folder / "latest_checkpointed_iteration.txt").write_text(str(iteration), encoding="utf-8")


__all__ = ["write_safetensors", "write_shards"]

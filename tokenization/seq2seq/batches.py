"""Make the tensors of a batch of encoded sources and targets."""

from collections.abc import Mapping, Sequence

import torch

from ..pretraining.encoded import join_encoded
from ..pretraining.packing import to_batch
from .layouts import IGNORED

Sample = Mapping[str, Sequence]


def pad(
    rows: Sequence[Sequence[int]], value: int, *, side: str = "right", multiple: int | None = None
) -> torch.Tensor:
    """
    Pad rows to the length of the longest.

    Args:
        rows: The rows.
        value: What fills them up.
        side: Where the padding is, "left" or "right".
        multiple: Round up the length to a multiple of this.

    Returns:
        int64 (rows, length).
    """
    length = max(map(len, rows))
    length = -(-length // (multiple or 1)) * (multiple or 1)
    padded = torch.full((len(rows), length), value, dtype=torch.long)
    for target, row in zip(padded, rows, strict=True):
        if len(row):
            place = slice(length - len(row), None) if side == "left" else slice(len(row))
            target[place] = torch.as_tensor(row, dtype=torch.long)
    return padded


def unpacked_batch(samples: Sequence[Sample], pad_token_id: int, multiple: int | None) -> dict[str, torch.Tensor]:
    """
    Make a batch with one sample per row, padded on the right.

    Args:
        samples: `input_ids` and `labels` (length,), and where the layout needs them `attention_mask` (length,) and
            `position_ids` (2, length).
        pad_token_id: Id of the padding.
        multiple: Round up the length of the rows to a multiple of this.

    Returns:
        int64 tensors of the same names, (rows, length) and (rows, 2, length), always with `attention_mask`.
    """
    masks = [sample.get("attention_mask", [1] * len(sample["input_ids"])) for sample in samples]
    batch = {
        "input_ids": pad([sample["input_ids"] for sample in samples], pad_token_id, multiple=multiple),
        "attention_mask": pad(masks, 0, multiple=multiple),
        "labels": pad([sample["labels"] for sample in samples], IGNORED, multiple=multiple),
    }
    if all("position_ids" in sample for sample in samples):
        rows = [row for sample in samples for row in sample["position_ids"]]
        batch["position_ids"] = pad(rows, 0, multiple=multiple).view(len(samples), 2, -1)
    return batch


def packed_batch(
    samples: Sequence[Sample],
    pad_token_id: int,
    mask_token_ids: Sequence[int],
    sop_token_id: int,
    packed_length: int,
    multiple: int | None,
) -> dict[str, torch.Tensor]:
    """
    Make a batch with several samples per row, which do not see each other.

    Args:
        samples: `input_ids` and `labels` (length,).
        pad_token_id, mask_token_ids, sop_token_id: The special tokens.
        packed_length: Largest length of a row.
        multiple: Round up the length of the rows to a multiple of this.

    Returns:
        int64 tensors `input_ids`, `attention_mask`, `labels` (rows, length) and `position_ids` (rows, 2, length), which
        start again with each sample.
    """
    joined = join_encoded(samples, mask_token_ids, sop_token_id)
    return to_batch(joined, pad_token_id, packed_length, multiple)


__all__ = ["packed_batch", "pad", "unpacked_batch"]

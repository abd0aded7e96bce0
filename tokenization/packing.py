"""Samples to the rows of a batch: one per row, or several packed into each."""

import heapq

import numpy as np
import torch

from .infilling_layout import IGNORED, Samples, counts


def pack(lengths: np.ndarray, row_length: int) -> tuple[np.ndarray, np.ndarray]:
    """
    Spreads samples evenly over as few rows as hold them, longest first, so that all rows are about equally long.

        lengths 5 4 3 3 2 1 in rows of 9 -> 5 3 1 | 4 3 2

    Args:
        lengths: (samples,) int64.
        row_length: Tokens that a row may have. Where a sample is longer, the rows become about as long as that one.

    Returns:
        (samples,) the row of every sample, and where in it the sample begins.
    """
    total, longest = int(lengths.sum()), int(lengths.max())
    if longest > row_length:
        row_length, number = total, total // longest
    else:
        number = -(-total // row_length)
    order = np.argsort(-lengths, kind="stable").tolist()
    sizes = lengths.tolist()
    while True:
        rows, starts = [0] * len(sizes), [0] * len(sizes)
        shortest = [(0, row) for row in range(number)]
        for sample in order:
            filled, row = shortest[0]
            if filled + sizes[sample] > row_length:
                break
            heapq.heapreplace(shortest, (filled + sizes[sample], row))
            rows[sample], starts[sample] = row, filled
        else:
            return np.array(rows), np.array(starts)
        number += 1


def to_batch(
    samples: Samples, pad_token_id: int, packed_length: int | None = None, pad_to_multiple_of: int | None = None
) -> dict[str, torch.Tensor]:
    """
    Args:
        samples: At least one.
        pad_token_id: Fills the rows up on their right.
        packed_length: Tokens up to which a row is filled with samples; one sample per row if None.
        pad_to_multiple_of: Round the length of the rows up to a multiple.

    Returns:
        int64 tensors `input_ids`, `attention_mask`, `labels` (rows, seq) and `position_ids` (rows, 2, seq). The positions
        of a packed row begin anew with every sample, which is how the model tells them apart.
    """
    lengths = samples.lengths
    if packed_length is None:
        rows, starts = np.arange(len(lengths)), np.zeros(len(lengths), dtype=np.int64)
    else:
        rows, starts = pack(lengths, packed_length)
    length = int((starts + lengths).max())
    if pad_to_multiple_of:
        length = -(-length // pad_to_multiple_of) * pad_to_multiple_of
    number = int(rows.max()) + 1
    index = np.repeat(starts, lengths) + counts(lengths)
    where = np.repeat(rows, lengths) * length + index

    def spread(values: np.ndarray | int, filler: int) -> torch.Tensor:
        row = np.full(number * length, filler, dtype=np.int64)
        row[where] = values
        return torch.from_numpy(row.reshape(number, length))

    return {
        "input_ids": spread(samples.input_ids, pad_token_id),
        "attention_mask": spread(1, 0),
        "position_ids": torch.stack([spread(row, 0) for row in samples.position_ids], dim=1),
        "labels": spread(samples.labels, IGNORED),
    }

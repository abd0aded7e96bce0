"""Samples to the rows of a batch: one per row, or several packed into each."""

import heapq

import numpy as np
import torch

from .samples import IGNORED, Samples, counts


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
    number = -(-total // row_length)
    if longest <= row_length:
        while (rows := _spread(lengths, number))[2] > row_length:
            number += 1
    else:
        # As the rows are about as long as the longest sample anyway, take the number that leaves the least padding.
        most = total // longest
        rows = min((_spread(lengths, n) for n in range(max(1, most - 2), most + 1)), key=lambda found: found[3])
    return rows[0], rows[1]


def _spread(lengths: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Rows and starts of the samples in so many rows, the length of the longest row, and the padding."""
    fill = [(0, row) for row in range(number)]  # a heap, the emptiest row first
    rows, starts = np.zeros(len(lengths), dtype=np.int64), np.zeros(len(lengths), dtype=np.int64)
    sizes = lengths.tolist()
    for sample in np.argsort(-lengths, kind="stable").tolist():
        filled, row = fill[0]
        heapq.heapreplace(fill, (filled + sizes[sample], row))
        rows[sample], starts[sample] = row, filled
    longest = max(fill)[0]
    return rows, starts, longest, longest * number - sum(sizes)


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

    def spread(values: np.ndarray | int, filler: int) -> np.ndarray:
        row = np.full(number * length, filler, dtype=np.int64)
        row[where] = values
        return row.reshape(number, length)

    # The two rows of positions lie behind each other for every row of the batch.
    position_ids = np.zeros((number, 2, length), dtype=np.int64)
    where_row0 = where + np.repeat(rows, lengths) * length
    position_ids.reshape(-1)[where_row0] = samples.position_ids[0]
    position_ids.reshape(-1)[where_row0 + length] = samples.position_ids[1]
    batch = {
        "input_ids": spread(samples.input_ids, pad_token_id),
        "attention_mask": spread(1, 0),
        "position_ids": position_ids,
        "labels": spread(samples.labels, IGNORED),
    }
    return {name: torch.from_numpy(values) for name, values in batch.items()}

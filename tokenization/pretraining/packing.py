"""Put samples into the rows of a batch: one per row, or several packed into each."""

import heapq
from dataclasses import dataclass

import numpy as np
import torch

from .ragged import count_up
from .samples import IGNORED, InfillingSamples


@dataclass(frozen=True, kw_only=True)
class Rows:
    """
    The places of samples in rows.

    Attributes:
        row: (samples,) int64, row of each sample.
        start: (samples,) int64, first place of each sample in its row.
        length: Tokens of the longest row.
        padding: Places that are left over if all rows have this length.
    """

    row: np.ndarray
    start: np.ndarray
    length: int
    padding: int


def pack(lengths: np.ndarray, row_length: int) -> Rows:
    """
    Spread samples evenly over as few rows as possible, longest first, so that the rows have nearly the same length.

        lengths 5 4 3 3 2 1 in rows of 9 -> 5 3 1 | 4 3 2

    Args:
        lengths: (samples,) int64.
        row_length: Largest length of a row. If a sample is longer, the rows become about as long as that sample.
    """
    total, longest = int(lengths.sum()), int(lengths.max())
    if longest > row_length:
        # The rows are at least as long as the longest sample, so take the number of rows with the least padding.
        most = total // longest
        return min((_spread(lengths, number) for number in range(max(1, most - 2), most + 1)), key=_padding)
    number = -(-total // row_length)
    while (rows := _spread(lengths, number)).length > row_length:
        number += 1
    return rows


def _padding(rows: Rows) -> int:
    return rows.padding


def _spread(lengths: np.ndarray, number: int) -> Rows:
    """Put each sample, longest first, into the emptiest of `number` rows."""
    fill = [(0, row) for row in range(number)]  # a heap, the emptiest row first
    rows, starts = np.zeros(len(lengths), dtype=np.int64), np.zeros(len(lengths), dtype=np.int64)
    sizes = lengths.tolist()
    for sample in np.argsort(-lengths, kind="stable").tolist():
        filled, row = fill[0]
        heapq.heapreplace(fill, (filled + sizes[sample], row))
        rows[sample], starts[sample] = row, filled
    longest = max(fill)[0]
    return Rows(row=rows, start=starts, length=longest, padding=longest * number - sum(sizes))


def to_batch(
    samples: InfillingSamples,
    pad_token_id: int,
    packed_length: int | None = None,
    pad_to_multiple_of: int | None = None,
) -> dict[str, torch.Tensor]:
    """
    Make the tensors of a batch. Padding is on the right.

    Args:
        samples: At least one.
        pad_token_id: Id of the padding.
        packed_length: Largest length of a row with several samples. None puts one sample into each row.
        pad_to_multiple_of: Round up the length of the rows to a multiple of this.

    Returns:
        int64 tensors `input_ids`, `attention_mask`, `labels` (rows, seq) and `position_ids` (rows, 2, seq). The positions
        of a packed row start again with each sample. The model tells samples apart by that.
    """
    lengths = samples.lengths
    if packed_length is None:
        row, start = np.arange(len(lengths)), np.zeros(len(lengths), dtype=np.int64)
    else:
        rows = pack(lengths, packed_length)
        row, start = rows.row, rows.start
    length = int((start + lengths).max())
    if pad_to_multiple_of:
        length = -(-length // pad_to_multiple_of) * pad_to_multiple_of
    number = int(row.max()) + 1
    index = np.repeat(start, lengths) + count_up(lengths)
    where = np.repeat(row, lengths) * length + index

    def fill(values: np.ndarray | int, filler: int) -> np.ndarray:
        flat = np.full(number * length, filler, dtype=np.int64)
        flat[where] = values
        return flat.reshape(number, length)

    # Flat, row r of the batch holds both rows of its positions: [r0 r1 | r0 r1 | ...], in steps of `length`.
    position_ids = np.zeros((number, 2, length), dtype=np.int64)
    where_row0 = where + np.repeat(row, lengths) * length
    position_ids.reshape(-1)[where_row0] = samples.position_ids[0]
    position_ids.reshape(-1)[where_row0 + length] = samples.position_ids[1]
    batch = {
        "input_ids": fill(samples.input_ids, pad_token_id),
        "attention_mask": fill(1, 0),
        "position_ids": position_ids,
        "labels": fill(samples.labels, IGNORED),
    }
    return {name: torch.from_numpy(values) for name, values in batch.items()}

"""Lay out samples that are encoded already, such as examples of tasks, beside those that the collator makes of texts."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .ragged import count_up
from .samples import InfillingSamples

EncodedSample = Mapping[str, Any]


def join_encoded(
    samples: Sequence[EncodedSample], mask_token_ids: Sequence[int], sop_token_id: int
) -> InfillingSamples:
    """
    Lay out encoded samples one behind the other, with the 2D positions that follow from their ids (paper section 2.2.1).

    Args:
        samples: `input_ids` (length,), Part A and Part B, and `labels` (length,) aligned with them.
        mask_token_ids: Ids of the blanks.
        sop_token_id: Id that opens a piece. The k-th piece fills the k-th blank.

    Raises:
        ValueError: For a sample with other numbers of labels than ids, or more pieces than blanks.
    """
    ids = [np.asarray(sample["input_ids"], dtype=np.int64) for sample in samples]
    labels = [np.asarray(sample["labels"], dtype=np.int64) for sample in samples]
    contexts, positions = [], []
    for number, (row, row_labels) in enumerate(zip(ids, labels, strict=True)):
        if len(row) != len(row_labels):
            raise ValueError(
                f"Sample {number} has {len(row)} input_ids and {len(row_labels)} labels: expected one label for each id."
            )
        context, row_positions = _number(row, number, mask_token_ids, sop_token_id)
        contexts.append(context)
        positions.append(row_positions)
    return InfillingSamples(
        input_ids=np.concatenate(ids),
        position_ids=np.concatenate(positions, axis=1),
        labels=np.concatenate(labels),
        offsets=np.cumsum([0, *map(len, ids)]),
        context_lengths=np.array(contexts, dtype=np.int64),
        find_origins=lambda: np.full(sum(map(len, ids)), -1),
    )


def _number(ids: np.ndarray, number: int, masks: Sequence[int], sop: int) -> tuple[int, np.ndarray]:
    """
    Return the number of tokens of Part A, and both rows of the positions.

        ids a M c S d e  ->  3,  0 1 2 1 1 1 / 0 0 0 1 2 3
    """
    starts = np.flatnonzero(ids == sop)
    context = int(starts[0]) if len(starts) else len(ids)
    blanks = np.flatnonzero(np.isin(ids[:context], masks))
    if len(starts) > len(blanks):
        raise ValueError(
            f"Sample {number} has {len(starts)} pieces for {len(blanks)} blanks: expected a blank for each."
        )
    sizes = np.diff([*starts, len(ids)])
    row0 = np.concatenate([np.arange(context), np.repeat(blanks[: len(starts)], sizes)])
    row1 = np.concatenate([np.zeros(context, dtype=np.int64), count_up(sizes) + 1])
    return context, np.stack([row0, row1])


def join_samples(first: InfillingSamples, second: InfillingSamples) -> InfillingSamples:
    """Put samples behind others."""
    return InfillingSamples(
        input_ids=np.concatenate([first.input_ids, second.input_ids]),
        position_ids=np.concatenate([first.position_ids, second.position_ids], axis=1),
        labels=np.concatenate([first.labels, second.labels]),
        offsets=np.concatenate([first.offsets, second.offsets[1:] + first.offsets[-1]]),
        context_lengths=np.concatenate([first.context_lengths, second.context_lengths]),
        find_origins=lambda: np.concatenate([first.origins, second.find_origins()]),
    )


__all__ = ["EncodedSample", "join_encoded", "join_samples"]

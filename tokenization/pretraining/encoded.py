"""Lay out samples that are encoded already, such as examples of tasks, beside those that the collator makes of texts."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..inputs import shown
from .ragged import count_up
from .samples import IGNORED, InfillingSamples

EncodedSample = Mapping[str, Any]


def join_encoded(
    samples: Sequence[EncodedSample],
    mask_token_ids: Sequence[int],
    sop_token_id: int,
    rows: Sequence[int] | None = None,
) -> InfillingSamples:
    """
    Lay out encoded samples one behind the other, with the 2D positions that follow from their ids (paper section 2.2.1).

    Args:
        samples: `input_ids` (length,), Part A and Part B, and `labels` (length,) aligned with them. Where they have an
            `attention_mask` (length,), it is 0 on padding, which is left out.
        mask_token_ids: Ids of the blanks.
        sop_token_id: Id that opens a piece. The k-th piece fills the k-th blank.
        rows: The caller's numbers of the samples, for messages. The default counts them.

    Raises:
        ValueError: For a sample with other numbers of labels than ids, with labels on Part A, or with more pieces than
            blanks.
    """
    ids, labels, contexts, positions = [], [], [], []
    for number, sample in zip(rows or range(len(samples)), samples, strict=True):
        row, row_labels = (read_row(sample, name, number) for name in ("input_ids", "labels"))
        context, row_positions = _number(row, number, mask_token_ids, sop_token_id)
        if (row_labels[:context] != IGNORED).any():
            raise ValueError(
                f"Sample {number} has labels on Part A, in front of the first <sop>: expected -100 there, because GLM learns "
                "the pieces that fill its blanks. For a text to blank out leave labels out, as of a causal model or a class."
            )
        ids.append(row)
        labels.append(row_labels)
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


def read_row(sample: Mapping[str, Any], name: str, number: int) -> np.ndarray:
    """
    Read the ids or labels of a row without its padding.

    Args:
        sample: The row. Where it has an `attention_mask` (length,), that is 0 on padding.
        name: "input_ids" or "labels".
        number: The caller's number of the row, for messages.

    Returns:
        (tokens,) int64.

    Raises:
        ValueError: For values of another shape than (length,), and other numbers of labels or mask values than ids.
    """
    values, mask = np.asarray(sample[name], dtype=np.int64), sample.get("attention_mask")
    if values.ndim != 1:
        raise ValueError(f"Sample {number} has {name}={shown(sample[name])}: expected a list with one for each token.")
    if name != "input_ids" and len(values) != len(sample["input_ids"]):
        raise ValueError(
            f"Sample {number} has {len(sample['input_ids'])} input_ids and {len(values)} {name}: expected one for each id."
        )
    if mask is None:
        return values
    mask = np.asarray(mask)
    if mask.shape != values.shape:
        raise ValueError(
            f"Sample {number} has {len(values)} {name} and an attention_mask of shape {mask.shape}: expected one value for "
            "each id."
        )
    return values[mask != 0]


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


__all__ = ["EncodedSample", "join_encoded", "join_samples", "read_row"]

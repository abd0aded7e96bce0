"""
The layout of pretraining samples (paper section 2.1, figure 2): from texts and spans to Part A and Part B.

Whole batches are laid out at once, with texts and samples one behind the other in flat arrays.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .ragged import count_up, starts_of
from .spans import Spans
from .texts import Texts

IGNORED = -100  # label of a token after which nothing is predicted


@dataclass(frozen=True, kw_only=True)
class InfillingSamples:
    """
    Samples one behind the other: sample k lies from `offsets[k]` to `offsets[k + 1]`.

    Attributes:
        input_ids: (tokens,) int64, Part A and then Part B of each sample.
        position_ids: (2, tokens) int64.
        labels: (tokens,) int64, aligned with the inputs, -100 in Part A.
        offsets: (samples + 1,) int64.
        context_lengths: (samples,) int64, tokens of Part A.
        find_origins: Return `origins`, which only few options need.
    """

    input_ids: np.ndarray
    position_ids: np.ndarray
    labels: np.ndarray
    offsets: np.ndarray
    context_lengths: np.ndarray
    find_origins: Callable[[], np.ndarray]

    @cached_property
    def origins(self) -> np.ndarray:
        """(tokens,) int64, place of each input in `Texts.ids`; -1 for masks and starts of pieces."""
        return self.find_origins()

    @cached_property
    def lengths(self) -> np.ndarray:
        """(samples,) int64, tokens of both parts."""
        return np.diff(self.offsets)

    def __getitem__(self, number: int) -> dict[str, np.ndarray]:
        """Return one sample: `input_ids` and `labels` (length,), `position_ids` (2, length)."""
        where = slice(self.offsets[number], self.offsets[number + 1])
        return {
            "input_ids": self.input_ids[where],
            "position_ids": self.position_ids[:, where],
            "labels": self.labels[where],
        }


@dataclass(frozen=True, kw_only=True)
class _Context:
    """Part A of all samples. `blanks` are the places of the masks in it, `origins` those of its tokens in the texts."""

    ids: np.ndarray
    row0: np.ndarray
    lengths: np.ndarray
    origins: np.ndarray
    blanks: np.ndarray
    blank_row0: np.ndarray


@dataclass(frozen=True, kw_only=True)
class _Pieces:
    """Part B of all samples. `sizes` are the tokens of each piece, `lengths` those of Part B of each sample. `origins` are wrong where a piece opens."""

    ids: np.ndarray
    labels: np.ndarray
    index: np.ndarray
    sizes: np.ndarray
    lengths: np.ndarray
    opens: np.ndarray
    origins: np.ndarray


def blank_out(texts: Texts, spans: Spans, eop_token_id: int) -> InfillingSamples:
    """
    Replace spans by blanks and write them behind the text, each `<sop> span` -> `span <eop>`.

        text a b c d e, spans [b] [d e], the second first, M = mask, S = sop, E = eop
        ids     a M c M   S d e   S b
        labels  . . . .   d e E   b E
        row 0   0 1 2 3   3 3 3   1 1
        row 1   0 0 0 0   1 2 3   1 2

    Args:
        texts: The texts, with the tokens that open and end them.
        spans: The spans to replace.
        eop_token_id: Id of the end of a piece.
    """
    pieces = _lay_out_pieces(texts, spans, eop_token_id)
    context = _lay_out_context(texts, spans)
    lengths = context.lengths + pieces.lengths
    starts = starts_of(lengths)
    # context lengths [2 1], piece lengths [1 2] -> samples A A B | A B B, to_context [0 1 3], to_pieces [2 4 5]
    to_context = np.repeat(starts, context.lengths) + context.row0
    to_pieces = np.repeat(starts + context.lengths, pieces.lengths) + count_up(pieces.lengths)
    total = int(lengths.sum())
    input_ids, labels = np.empty(total, dtype=np.int64), np.full(total, IGNORED)
    position_ids = np.zeros((2, total), dtype=np.int64)
    input_ids[to_context], input_ids[to_pieces] = context.ids, pieces.ids
    labels[to_pieces] = pieces.labels
    position_ids[0, to_context] = context.row0
    position_ids[0, to_pieces] = np.repeat(context.blank_row0, pieces.sizes)
    position_ids[1, to_pieces] = pieces.index + 1

    def find_origins() -> np.ndarray:
        origins = np.empty(total, dtype=np.int64)
        origins[to_context], origins[to_pieces] = context.origins, pieces.origins
        origins[to_context[context.blanks]] = origins[to_pieces[pieces.opens]] = -1
        return origins

    return InfillingSamples(
        input_ids=input_ids,
        position_ids=position_ids,
        labels=labels,
        offsets=np.append(starts, total),
        context_lengths=context.lengths,
        find_origins=find_origins,
    )


def _lay_out_pieces(texts: Texts, spans: Spans, eop_token_id: int) -> _Pieces:
    places = spans.places
    sizes = places.stop - places.start + ~places.open_end  # one more label for the end of the piece
    index = count_up(sizes)
    source = np.repeat(places.start, sizes) + index  # place of the label in the texts
    before = source - 1  # place of the input
    opens, closes = index == 0, source == np.repeat(places.stop, sizes)
    lengths = np.bincount(places.text, weights=sizes, minlength=len(texts.lengths)).astype(np.int64)
    return _Pieces(
        ids=np.where(opens, np.repeat(spans.sop_ids, sizes), texts.ids[before]),
        labels=np.where(closes, eop_token_id, texts.ids[np.minimum(source, len(texts.ids) - 1)]),
        index=index,
        sizes=sizes,
        lengths=lengths,
        opens=opens,
        origins=before,
    )


def _lay_out_context(texts: Texts, spans: Spans) -> _Context:
    # A span shrinks to its first token, which becomes the mask: spans [1:3] of a b c d -> kept [0 1 3].
    places = spans.places
    removed_lengths = places.stop - places.start - 1
    is_kept = np.ones(len(texts.ids), dtype=bool)
    is_kept[np.repeat(places.start + 1, removed_lengths) + count_up(removed_lengths)] = False
    kept = np.flatnonzero(is_kept)
    removed = np.bincount(places.text, weights=removed_lengths, minlength=len(texts.lengths)).astype(np.int64)
    lengths = texts.lengths - removed
    blanks = np.searchsorted(kept, places.start)
    ids = texts.ids[kept]
    ids[blanks] = spans.mask_ids
    return _Context(
        ids=ids,
        row0=count_up(lengths),
        lengths=lengths,
        origins=kept,
        blanks=blanks,
        blank_row0=blanks - starts_of(lengths)[places.text],
    )


def mask_in_place(texts: Texts, spans: Spans) -> InfillingSamples:
    """
    Mask the spans token by token, without Part B: masked language modelling, as a baseline.

        text a b c d, span [b c]:  ids a M M d, labels . b c .
    """
    lengths = spans.places.stop - spans.places.start
    hidden = np.repeat(spans.places.start, lengths) + count_up(lengths)
    input_ids, labels = texts.ids.copy(), np.full(len(texts.ids), IGNORED)
    labels[hidden] = texts.ids[hidden]
    input_ids[hidden] = np.repeat(spans.mask_ids, lengths)
    row0 = count_up(texts.lengths)

    def find_origins() -> np.ndarray:
        origins = np.arange(len(texts.ids))
        origins[hidden] = -1
        return origins

    return InfillingSamples(
        input_ids=input_ids,
        position_ids=np.stack([row0, np.zeros_like(row0)]),
        labels=labels,
        offsets=texts.offsets,
        context_lengths=texts.lengths,
        find_origins=find_origins,
    )

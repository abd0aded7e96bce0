"""
The layout of pretraining samples (paper section 2.1, Figure 2): texts and their spans to Part A and Part B, for a whole
batch at once. The texts stand one behind the other in flat arrays, and so do the samples that come out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

IGNORED = -100  # label of a token after which nothing is predicted


@dataclass(frozen=True, kw_only=True)
class Texts:
    """
    Texts one behind the other.

    Attributes:
        ids: (tokens,) int64.
        offsets: (texts + 1,) int64, text k is `ids[offsets[k] : offsets[k + 1]]`.
    """

    ids: np.ndarray
    offsets: np.ndarray

    @classmethod
    def join(cls, texts: list[np.ndarray]) -> "Texts":
        """Puts (length,) arrays one behind the other."""
        lengths = np.array([len(text) for text in texts], dtype=np.int64)
        return cls(ids=np.concatenate(texts).astype(np.int64), offsets=np.concatenate([[0], np.cumsum(lengths)]))

    @cached_property
    def lengths(self) -> np.ndarray:
        """(texts,) int64."""
        return np.diff(self.offsets)

    @cached_property
    def numbers(self) -> np.ndarray:
        """(tokens,) the text that every token belongs to."""
        return np.repeat(np.arange(len(self.offsets) - 1), self.lengths)


@dataclass(frozen=True, kw_only=True)
class Spans:
    """
    What is blanked out in a batch of texts, in the order in which Part B holds it: by text, then as drawn.

    Attributes:
        text: (spans,) number of the text.
        start, stop: (spans,) where the span stands in `Texts.ids`; spans of a text do not overlap.
        mask_ids, sop_ids: (spans,) ids of the blank and of the start of the piece.
        open_end: (spans,) bool, True where the text goes on after the piece: it ends without an end of piece.
    """

    text: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    mask_ids: np.ndarray
    sop_ids: np.ndarray
    open_end: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Samples:
    """
    Samples one behind the other: sample k is what lies from `offsets[k]` to `offsets[k + 1]`.

    Attributes:
        input_ids: (tokens,) int64, of each sample Part A and then Part B.
        position_ids: (2, tokens) int64.
        labels: (tokens,) int64, aligned with the inputs, -100 in Part A.
        offsets: (samples + 1,) int64.
        context_lengths: (samples,) int64, tokens of Part A.
        find_origins: Makes `origins`, which few options need.
    """

    input_ids: np.ndarray
    position_ids: np.ndarray
    labels: np.ndarray
    offsets: np.ndarray
    context_lengths: np.ndarray
    find_origins: Callable[[], np.ndarray]

    @cached_property
    def origins(self) -> np.ndarray:
        """(tokens,) int64, where in `Texts.ids` the input stands; -1 for the masks and starts of pieces."""
        return self.find_origins()

    @cached_property
    def lengths(self) -> np.ndarray:
        """(samples,) int64, tokens of both parts."""
        return np.diff(self.offsets)

    def __getitem__(self, number: int) -> dict[str, np.ndarray]:
        """One sample: `input_ids` and `labels` (length,), `position_ids` (2, length)."""
        where = slice(self.offsets[number], self.offsets[number + 1])
        return {
            "input_ids": self.input_ids[where],
            "position_ids": self.position_ids[:, where],
            "labels": self.labels[where],
        }


def blank_out(texts: Texts, spans: Spans, eop_token_id: int) -> Samples:
    """
    Replaces spans by blanks and writes them behind the text, each `<sop> span` -> `span <eop>`.

        text a b c d e, spans [b] [d e], the second first, M = mask, S = sop, E = eop
        ids     a M c M   S d e   S b
        labels  . . . .   d e E   b E
        row 0   0 1 2 3   3 3 3   1 1
        row 1   0 0 0 0   1 2 3   1 2

    Args:
        texts: The texts, with whatever opens and ends them.
        spans: What to blank out.
        eop_token_id: Id of the end of a piece.
    """
    # Part B: what stands at index j of a piece follows from j alone.
    span_lengths = spans.stop - spans.start
    piece_lengths = span_lengths + ~spans.open_end
    index = counts(piece_lengths)
    source = np.repeat(spans.start, piece_lengths) + index
    opens, closes = index == 0, source == np.repeat(spans.stop, piece_lengths)
    piece_ids = np.where(opens, np.repeat(spans.sop_ids, piece_lengths), texts.ids[source - 1])
    piece_labels = np.where(closes, eop_token_id, texts.ids[np.minimum(source, len(texts.ids) - 1)])

    # Part A: spans shrunk to their first token, which becomes the mask.
    is_kept = np.ones(len(texts.ids), dtype=bool)
    is_kept[source[~opens & ~closes]] = False
    kept = np.flatnonzero(is_kept)
    number = len(texts.lengths)
    removed = np.bincount(spans.text, weights=span_lengths - 1, minlength=number).astype(np.int64)
    context_lengths = texts.lengths - removed
    context_starts = starts_of(context_lengths)
    context_row0 = counts(context_lengths)
    blanks = np.searchsorted(kept, spans.start)
    context_ids = texts.ids[kept]
    context_ids[blanks] = spans.mask_ids
    blank_row0 = blanks - context_starts[spans.text]

    # Every text's Part A, and behind it its Part B.
    answer_lengths = np.bincount(spans.text, weights=piece_lengths, minlength=number).astype(np.int64)
    lengths = context_lengths + answer_lengths
    starts = starts_of(lengths)
    to_context = np.repeat(starts, context_lengths) + context_row0
    to_pieces = np.repeat(starts + context_lengths, answer_lengths) + counts(answer_lengths)
    total = int(lengths.sum())
    input_ids, labels = np.empty(total, dtype=np.int64), np.full(total, IGNORED)
    position_ids = np.zeros((2, total), dtype=np.int64)
    input_ids[to_context], input_ids[to_pieces] = context_ids, piece_ids
    labels[to_pieces] = piece_labels
    position_ids[0, to_context], position_ids[0, to_pieces] = context_row0, np.repeat(blank_row0, piece_lengths)
    position_ids[1, to_pieces] = index + 1

    def find_origins() -> np.ndarray:
        origins = np.empty(total, dtype=np.int64)
        context_origins = kept.copy()
        context_origins[blanks] = -1
        origins[to_context], origins[to_pieces] = context_origins, np.where(opens, -1, source - 1)
        return origins

    return Samples(
        input_ids=input_ids,
        position_ids=position_ids,
        labels=labels,
        offsets=np.append(starts, total),
        context_lengths=context_lengths,
        find_origins=find_origins,
    )


def mask_in_place(texts: Texts, spans: Spans) -> Samples:
    """
    Masked language modelling as a baseline: every token of a span becomes the mask, whose label is the token itself, and
    there is no Part B.

        text a b c d, span [b c]:  ids a M M d, labels . b c .
    """
    lengths = spans.stop - spans.start
    hidden = np.repeat(spans.start, lengths) + counts(lengths)
    input_ids, labels = texts.ids.copy(), np.full(len(texts.ids), IGNORED)
    labels[hidden] = texts.ids[hidden]
    input_ids[hidden] = np.repeat(spans.mask_ids, lengths)
    row0 = counts(texts.lengths)
    return Samples(
        input_ids=input_ids,
        position_ids=np.stack([row0, np.zeros_like(row0)]),
        labels=labels,
        offsets=texts.offsets,
        context_lengths=texts.lengths,
        find_origins=lambda: np.where(np.isin(np.arange(len(texts.ids)), hidden), -1, np.arange(len(texts.ids))),
    )


def starts_of(lengths: np.ndarray) -> np.ndarray:
    """Where each begins, one behind the other: [2 3 1] -> [0 2 5]."""
    return np.cumsum(lengths) - lengths


def counts(lengths: np.ndarray) -> np.ndarray:
    """Counts anew for every length: [2 3] -> [0 1 0 1 2]."""
    return np.arange(int(lengths.sum())) - np.repeat(starts_of(lengths), lengths)

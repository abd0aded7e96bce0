"""The spans of a batch of texts that become blanks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class SpanPlaces:
    """
    The places of spans. The spans of a text do not overlap.

    Attributes:
        text: (spans,) int64, number of the text.
        start, stop: (spans,) int64, first token of the span and the token behind its last one, in `Texts.ids`.
        open_end: (spans,) bool, True where the piece has no end of piece, because the text is cut off there.
    """

    text: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    open_end: np.ndarray

    @classmethod
    def join(cls, parts: Sequence["SpanPlaces"]) -> "SpanPlaces":
        """Join the spans of several groups of texts, ordered by text and start."""
        names = ("text", "start", "stop", "open_end")
        joined = cls(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})
        return joined.take(np.lexsort((joined.start, joined.text)))

    def take(self, order: np.ndarray) -> "SpanPlaces":
        """Return the spans in another order, (spans,) places."""
        return SpanPlaces(
            text=self.text[order], start=self.start[order], stop=self.stop[order], open_end=self.open_end[order]
        )


@dataclass(frozen=True, kw_only=True)
class Spans:
    """
    Spans in the order of Part B: by text, then in the order of the pieces.

    Attributes:
        places: Where the spans are.
        mask_ids: (spans,) int64, id of the mask of each blank.
        sop_ids: (spans,) int64, id of the start of each piece.
    """

    places: SpanPlaces
    mask_ids: np.ndarray
    sop_ids: np.ndarray

"""The texts of a batch, one behind the other in one array."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True, kw_only=True)
class SourceText:
    """
    One text of a batch, before the texts are joined.

    Attributes:
        ids: (length,) int64, with `[CLS]` in front.
        sample: Number of the sample, which decides all random draws together with its family.
        part: Number of this part of the sample, where the sample was cut into short texts.
        objective: Name of the objective that the caller wants; None draws one.
        family: A `DrawFamily`.
    """

    ids: np.ndarray
    sample: int
    part: int = 0
    objective: str | None = None
    family: int = 0


@dataclass(frozen=True, kw_only=True)
class Texts:
    """
    Texts one behind the other.

    Attributes:
        ids: (tokens,) int64.
        offsets: (texts + 1,) int64; text k is `ids[offsets[k] : offsets[k + 1]]`.
        is_boundary: (tokens,) bool, True for the tokens that open and end documents. They never become blanks.
    """

    ids: np.ndarray
    offsets: np.ndarray
    is_boundary: np.ndarray

    @classmethod
    def join(cls, texts: Sequence[np.ndarray], boundary_ids: Sequence[int] = ()) -> "Texts":
        """
        Join texts.

        Args:
            texts: Arrays (length,), at least one.
            boundary_ids: Ids of the tokens that open and end documents.
        """
        ids = np.concatenate(texts).astype(np.int64)
        offsets = np.cumsum([0, *map(len, texts)], dtype=np.int64)
        return cls(ids=ids, offsets=offsets, is_boundary=find_boundaries(ids, boundary_ids))

    @cached_property
    def lengths(self) -> np.ndarray:
        """(texts,) int64, tokens of each text."""
        return np.diff(self.offsets)

    @cached_property
    def numbers(self) -> np.ndarray:
        """(tokens,) int64, the text that each token belongs to."""
        return np.repeat(np.arange(len(self.offsets) - 1), self.lengths)


def find_boundaries(ids: np.ndarray, boundary_ids: Sequence[int]) -> np.ndarray:
    """Return (tokens,) bool, True where an id is one of the few `boundary_ids`."""
    found = np.zeros(len(ids), dtype=bool)
    for boundary in boundary_ids:
        found |= ids == boundary
    return found

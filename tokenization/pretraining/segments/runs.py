"""Runs of tokens, sentences or words within texts."""

from dataclasses import dataclass

import numpy as np

from ..texts import Texts


@dataclass(frozen=True, kw_only=True)
class Runs:
    """
    Stretches of tokens, or of words, within one text, in the order of the texts.

    Attributes:
        start: (runs,) int64, first token in `Texts.ids`, or first word in `Words`.
        length: (runs,) int64, tokens or words.
        text: (runs,) int64, number of the text.
    """

    start: np.ndarray
    length: np.ndarray
    text: np.ndarray

    def of_texts(self, chosen: np.ndarray) -> "Runs":
        """Return the runs of the chosen texts, (texts,) bool."""
        keep = chosen[self.text]
        return Runs(start=self.start[keep], length=self.length[keep], text=self.text[keep])


def find_runs(texts: Texts) -> Runs:
    """Find what lies between boundaries, without the last token of a text unless the text has no other."""
    # Each text begins with a boundary, so a run between two marks lies in one text.
    lasts = texts.offsets[1:] - 1
    marks = np.union1d(np.flatnonzero(texts.is_boundary), lasts)
    start, length = marks[:-1] + 1, np.diff(marks) - 1
    start, length = start[length > 0], length[length > 0]
    text = texts.numbers[start]
    alone = ~texts.is_boundary[lasts]
    alone[text] = False
    if alone.any():
        start, length = np.append(start, lasts[alone]), np.append(length, np.ones(alone.sum(), dtype=np.int64))
        order = np.argsort(start)
        start, length = start[order], length[order]
        text = texts.numbers[start]
    return Runs(start=start, length=length, text=text)


def find_sentences(texts: Texts, ends: np.ndarray) -> Runs:
    """Find the sentences of all texts, given the tokens that end one, (tokens,) bool. Boundaries end sentences, too."""
    # tokens   C a b . c E C d     (C, E boundaries, "." an end)
    # starts     ^     ^     ^
    free, number = ~texts.is_boundary, texts.numbers
    follows = np.zeros(len(free), dtype=bool)
    follows[1:] = free[:-1] & (number[1:] == number[:-1]) & ~ends[:-1]
    starts = free & ~follows
    start = np.flatnonzero(starts)
    length = np.bincount(np.cumsum(starts)[free] - 1, minlength=len(start))
    return Runs(start=start, length=length, text=number[start])

"""
The pretraining objectives (paper sections 2.1 and 2.2): which tokens become blanks.

Each objective is an object that draws the spans of all its texts at once. A text gets the same spans in every batch,
because `Draws` depends on the seed and the number of its sample only.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from .draws import Draws, TextDraw, TokenStream
from .ragged import count_up, count_within, sum_before
from .sentence_ends import SentenceEnds
from .spans import SpanPlaces
from .texts import Texts

LONGEST_SPAN = 39  # spans of the token objective have 1 to 39 tokens, as in the originals


class Objective(Protocol):
    """A way to choose the spans of texts."""

    def draw(self, texts: Texts, chosen: np.ndarray, draws: Draws) -> SpanPlaces:
        """
        Draw spans.

        Args:
            texts: All texts of the batch.
            chosen: (texts,) bool, the texts of this objective.
            draws: The random numbers, with at least `TokenStream.VARIANTS` streams.

        Returns:
            The spans of the chosen texts, at least one for each.
        """


@dataclass(frozen=True, kw_only=True)
class TokenObjective:
    """
    Short spans (paper section 2.1.1).

    Lengths are drawn until they cover the wanted share of a text. The spans go anywhere in it, with at least one token
    between them, and never across the end of a document. The last token of a text stays. Where there is no room for a
    span, it becomes shorter.

    Args:
        ratio: Share of the tokens to cover, rounded down to tokens, at least one token.
        mean_length: Mean of the Poisson distribution of the lengths, which is restricted to 1 to 39.
    """

    ratio: float
    mean_length: float

    @cached_property
    def _cumulative(self) -> np.ndarray:
        return np.cumsum(poisson_probabilities(self.mean_length))[:-1]

    def draw(self, texts: Texts, chosen: np.ndarray, draws: Draws) -> SpanPlaces:
        """Draw spans, see `Objective.draw`."""
        runs = find_runs(texts).of_texts(chosen)
        text, index, lengths = self._draw_lengths(texts, runs, draws)
        run = self._assign_runs(text, lengths, runs, len(texts.lengths))
        lengths = _fit(lengths, run, np.maximum(runs.length - 1, 1))
        fits = lengths > 0
        text, index, lengths, run = text[fits], index[fits], lengths[fits], run[fits]

        # Remove the spans, and one token between any two, from a run: the spans are points in what is left of it.
        # run of 9 tokens, lengths [3 2] -> 9 - 5 - 2 + 2 = 4 places: points [1 1] -> starts [1 5]
        count = np.bincount(run, minlength=len(runs.length))
        covered = np.bincount(run, weights=lengths, minlength=len(runs.length)).astype(np.int64)
        left = runs.length - covered - count + 2
        point = (draws.stream(TokenStream.SPAN_PLACE, text, index) * left[run]).astype(np.int64)
        point = point[np.lexsort((point, run))]
        start = runs.start[run] + point + sum_before(lengths + 1, run)
        return SpanPlaces(text=text, start=start, stop=start + lengths, open_end=np.zeros(len(text), dtype=bool))

    def _draw_lengths(self, texts: Texts, runs: "Runs", draws: Draws) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draw lengths until they cover the share: text, number within the text, and length of each span."""
        # Draw as many lengths as a text can need, one per token to cover, and keep the first ones that cover the share.
        wanted = _share(self.ratio, texts.lengths)
        wanted[np.bincount(runs.text, minlength=len(wanted)) == 0] = 0
        text, index = np.repeat(np.arange(len(wanted)), wanted), count_up(wanted)
        lengths = (
            np.searchsorted(self._cumulative, draws.stream(TokenStream.SPAN_LENGTH, text, index), side="right") + 1
        )
        stays = sum_before(lengths, text) < wanted[text]
        return text[stays], index[stays], lengths[stays]

    def _assign_runs(self, text: np.ndarray, lengths: np.ndarray, runs: "Runs", count_texts: int) -> np.ndarray:
        """Return (spans,) the run of each span: the spans are spread evenly over the documents of a text."""
        # Lay the spans of a text out over all its runs: each belongs to the run below its middle.
        # runs of 6 and 2 tokens, lengths [3 1] -> middles [3/8 7/8] of 8 tokens = [3 7] -> runs [0 1]
        middle = (sum_before(lengths, text) + lengths / 2) / np.bincount(text, weights=lengths)[text]
        room = np.bincount(runs.text, weights=runs.length, minlength=count_texts)
        room_before = np.cumsum(room) - room
        return np.searchsorted(np.cumsum(runs.length), room_before[text] + middle * room[text], side="right")


@dataclass(frozen=True, kw_only=True)
class SentenceObjective:
    """
    Whole sentences in random order, until they cover the wanted share of a text (paper section 2.2).

    Args:
        ratio: Share of the tokens to cover.
        find_ends: Find the tokens with which sentences end.
    """

    ratio: float
    find_ends: SentenceEnds

    def draw(self, texts: Texts, chosen: np.ndarray, draws: Draws) -> SpanPlaces:
        """Draw spans, see `Objective.draw`."""
        sentences = find_sentences(texts, self.find_ends(texts.ids)).of_texts(chosen)
        text = sentences.text
        order = np.lexsort((draws.stream(TokenStream.SENTENCE_ORDER, text, count_within(text)), text))
        start, length = sentences.start[order], sentences.length[order]
        stays = sum_before(length, text) < _share(self.ratio, texts.lengths)[text]
        return SpanPlaces(
            text=text[stays],
            start=start[stays],
            stop=(start + length)[stays],
            open_end=np.zeros(int(stays.sum()), dtype=bool),
        )


@dataclass(frozen=True, kw_only=True)
class DocumentObjective:
    """
    One long span (paper section 2.2), of uniform length from `min_ratio` x length to length - 2.

    Args:
        min_ratio: Shortest span, as a share of the text.
        suffix_probability: Probability that the span is the end of the text. A text with several documents always has it
            there.
    """

    min_ratio: float
    suffix_probability: float

    def draw(self, texts: Texts, chosen: np.ndarray, draws: Draws) -> SpanPlaces:
        """Draw spans, see `Objective.draw`."""
        text = np.flatnonzero(chosen)
        length = texts.lengths[text]
        longest = np.maximum(length - 2, 1)
        shortest = np.clip((self.min_ratio * length).astype(np.int64), 1, longest)
        size = shortest + (draws.head(TextDraw.DOCUMENT_LENGTH)[text] * (longest - shortest + 1)).astype(np.int64)
        suffix = draws.head(TextDraw.DOCUMENT_SUFFIX)[text] < self.suffix_probability
        suffix |= self._has_several_documents(texts)[text] | (length < 3)
        anywhere = 1 + (draws.head(TextDraw.DOCUMENT_START)[text] * (length - 1 - size)).astype(np.int64)
        start = texts.offsets[text] + np.where(suffix, length - size, anywhere)
        return SpanPlaces(text=text, start=start, stop=start + size, open_end=suffix)

    def _has_several_documents(self, texts: Texts) -> np.ndarray:
        """Return (texts,) bool, True where a boundary stands inside of a text."""
        inner = texts.is_boundary.copy()
        inner[texts.offsets[:-1]] = inner[texts.offsets[1:] - 1] = False
        return np.bincount(texts.numbers[inner], minlength=len(texts.lengths)) > 0


@dataclass(frozen=True, kw_only=True)
class Runs:
    """
    Stretches of tokens within one text, in the order of the texts.

    Attributes:
        start: (runs,) int64, first token in `Texts.ids`.
        length: (runs,) int64, tokens.
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


def poisson_probabilities(mean: float) -> np.ndarray:
    """Return the probabilities of the lengths 1 to 39, (39,) float64: a Poisson distribution restricted to them."""
    lengths = np.arange(1, LONGEST_SPAN + 1)
    log_factorials = np.cumsum(np.log(lengths))
    weights = np.exp(lengths * np.log(mean) - log_factorials)
    return weights / weights.sum()


def _share(ratio: float, lengths: np.ndarray) -> np.ndarray:
    """Return a share of lengths in whole tokens, rounded down, at least 1."""
    return np.maximum((ratio * lengths + 1e-9).astype(np.int64), 1)


def _fit(lengths: np.ndarray, run: np.ndarray, room: np.ndarray) -> np.ndarray:
    """Shorten spans to the room of their run, with a token between them; 0 where no place is left."""
    # lengths [3 3 3], room 8 -> stops [3 7 8], starts [0 4 8] -> lengths [3 3 0]
    stops = np.minimum(sum_before(lengths + 1, run) + lengths, room[run])
    starts = np.zeros_like(stops)
    follows = run[1:] == run[:-1]
    starts[1:][follows] = stops[:-1][follows] + 1
    return np.maximum(stops - starts, 0)

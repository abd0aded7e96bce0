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
from .segments.runs import Runs, find_runs, find_sentences
from .segments.sentence_ends import SentenceEnds
from .segments.words import WordFinder
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
        wanted = _share(self.ratio, texts.lengths)
        wanted[np.bincount(runs.text, minlength=len(wanted)) == 0] = 0
        text, index, lengths = _draw_lengths(self._cumulative, wanted, draws)
        run = self._assign_runs(text, lengths, runs, len(texts.lengths))
        text, start, lengths = _place(text, index, lengths, run, runs, np.maximum(runs.length - 1, 1), draws)
        return _closed(text, start, start + lengths)

    def _assign_runs(self, text: np.ndarray, lengths: np.ndarray, runs: Runs, count_texts: int) -> np.ndarray:
        """Return (spans,) the run of each span: the spans are spread evenly over the documents of a text."""
        # Lay the spans of a text out over all its runs: each belongs to the run below its middle.
        # runs of 6 and 2 tokens, lengths [3 1] -> middles [3/8 7/8] of 8 tokens = [3 7] -> runs [0 1]
        middle = (sum_before(lengths, text) + lengths / 2) / np.bincount(text, weights=lengths)[text]
        room = np.bincount(runs.text, weights=runs.length, minlength=count_texts)
        room_before = np.cumsum(room) - room
        return np.searchsorted(np.cumsum(runs.length), room_before[text] + middle * room[text], side="right")


@dataclass(frozen=True, kw_only=True)
class WordObjective:
    """
    Short spans of whole words: the token objective with words in place of tokens.

    Lengths in words are drawn until they cover the wanted share of a text. The spans go anywhere in it, but never across
    punctuation, the end of a sentence or the end of a document, with at least one word between two spans that no
    punctuation separates. Where there is no room for a span, it becomes shorter.

    Args:
        ratio: Share of the tokens to cover, at least one word. It is met on average, because a word has several tokens.
        mean_length: Mean of the Poisson distribution of the lengths in words, which is restricted to 1 to 39.
        find_words: Find the words.
    """

    ratio: float
    mean_length: float
    find_words: WordFinder

    @cached_property
    def _cumulative(self) -> np.ndarray:
        return np.cumsum(poisson_probabilities(self.mean_length))[:-1]

    def draw(self, texts: Texts, chosen: np.ndarray, draws: Draws) -> SpanPlaces:
        """Draw spans, see `Objective.draw`."""
        words = self.find_words(texts)
        runs = words.runs.of_texts(chosen)
        count = len(texts.lengths)
        # Words to cover: the share of the tokens, divided by the mean tokens of the words that a text can hide.
        known = np.bincount(words.text, minlength=count)
        tokens = np.bincount(words.text, weights=words.stop - words.start, minlength=count)
        wanted = np.minimum(_share(self.ratio, texts.lengths * known / np.maximum(tokens, 1)), known)
        wanted[~chosen] = 0
        text, index, lengths = _draw_lengths(self._cumulative, wanted, draws)
        run = self._assign_runs(text, lengths, runs, count, draws)
        order = np.argsort(run, kind="stable")
        text, index, lengths, run = text[order], index[order], lengths[order], run[order]
        # A run may be hidden whole, unless it is all that the text has.
        alone = np.bincount(runs.text, minlength=count)[runs.text] == 1
        room = np.maximum(runs.length - alone, 1)
        text, start, lengths = _place(text, index, lengths, run, runs, room, draws)
        return _closed(text, words.start[start], words.stop[start + lengths - 1])

    def _assign_runs(
        self, text: np.ndarray, lengths: np.ndarray, runs: Runs, count_texts: int, draws: Draws
    ) -> np.ndarray:
        """Return (spans,) the run of each span: evenly over the runs of a text, from a random run on."""
        # runs of 6 and 2 words, lengths [3 1], offset 0.5 -> middles [7/8 11/8] of 8 words = [7 3] -> runs [1 0]
        middle = (sum_before(lengths, text) + lengths / 2) / np.bincount(text, weights=lengths)[text]
        middle = (middle + draws.head(TextDraw.SPAN_OFFSET)[text]) % 1.0
        room = np.bincount(runs.text, weights=runs.length, minlength=count_texts)
        # Whole words, so that rounding does not reach into the next text.
        place = (np.cumsum(room) - room)[text] + np.floor(middle * room[text])
        return np.searchsorted(np.cumsum(runs.length), place, side="right")


@dataclass(frozen=True, kw_only=True)
class SentenceObjective:
    """
    Whole sentences in random order, until they cover the wanted share of a text (paper section 2.1.2).

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
    One long span (paper section 2.1.2), of uniform length from `min_ratio` x length to length - 2.

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


def poisson_probabilities(mean: float) -> np.ndarray:
    """Return the probabilities of the lengths 1 to 39, (39,) float64: a Poisson distribution restricted to them."""
    lengths = np.arange(1, LONGEST_SPAN + 1)
    log_factorials = np.cumsum(np.log(lengths))
    weights = np.exp(lengths * np.log(mean) - log_factorials)
    return weights / weights.sum()


def _share(ratio: float, lengths: np.ndarray) -> np.ndarray:
    """Return a share of lengths in whole tokens, rounded down, at least 1."""
    return np.maximum((ratio * lengths + 1e-9).astype(np.int64), 1)


def _closed(text: np.ndarray, start: np.ndarray, stop: np.ndarray) -> SpanPlaces:
    return SpanPlaces(text=text, start=start, stop=stop, open_end=np.zeros(len(text), dtype=bool))


def _draw_lengths(
    cumulative: np.ndarray, wanted: np.ndarray, draws: Draws
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw lengths until they cover what is wanted, (texts,): text, number within the text, and length of each span."""
    # Draw as many lengths as a text can need, one per unit to cover, and keep the first ones that cover it.
    text, index = np.repeat(np.arange(len(wanted)), wanted), count_up(wanted)
    lengths = np.searchsorted(cumulative, draws.stream(TokenStream.SPAN_LENGTH, text, index), side="right") + 1
    stays = sum_before(lengths, text) < wanted[text]
    return text[stays], index[stays], lengths[stays]


def _place(
    text: np.ndarray,
    index: np.ndarray,
    lengths: np.ndarray,
    run: np.ndarray,
    runs: Runs,
    room: np.ndarray,
    draws: Draws,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Place spans in their runs, with at least one unit (token or word) between two of a run.

    Args:
        text, index, lengths, run: (spans,) ordered by run.
        runs: The runs.
        room: (runs,) largest part of each run that its spans may take.
        draws: The random numbers.

    Returns:
        The text, start and length of each span, without those that have no room.
    """
    lengths = _fit(lengths, run, room)
    fits = lengths > 0
    text, index, lengths, run = text[fits], index[fits], lengths[fits], run[fits]
    # Remove the spans, and one token between any two, from a run: the spans are points in what is left of it.
    # run of 9 tokens, lengths [3 2] -> 9 - 5 - 2 + 2 = 4 places: points [1 1] -> starts [1 5]
    count = np.bincount(run, minlength=len(runs.length))
    covered = np.bincount(run, weights=lengths, minlength=len(runs.length)).astype(np.int64)
    left = runs.length - covered - count + 2
    point = (draws.stream(TokenStream.SPAN_PLACE, text, index) * left[run]).astype(np.int64)
    point = point[np.lexsort((point, run))]
    return text, runs.start[run] + point + sum_before(lengths + 1, run), lengths


def _fit(lengths: np.ndarray, run: np.ndarray, room: np.ndarray) -> np.ndarray:
    """Shorten spans to the room of their run, with a token between them; 0 where no place is left."""
    # lengths [3 3 3], room 8 -> stops [3 7 8], starts [0 4 8] -> lengths [3 3 0]
    stops = np.minimum(sum_before(lengths + 1, run) + lengths, room[run])
    starts = np.zeros_like(stops)
    follows = run[1:] == run[:-1]
    starts[1:][follows] = stops[:-1][follows] + 1
    return np.maximum(stops - starts, 0)

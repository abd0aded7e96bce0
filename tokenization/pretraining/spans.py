"""
Which tokens become blanks (paper sections 2.1 and 2.2): the token, the sentence and the document objective, drawn for a
whole batch of texts at once.

What is drawn for a text depends on the seed and the number of its sample alone (see `Draws`), not on the other texts of
the batch, so batches of other sizes, more workers, more processes or a resumed run give the same blanks.
"""

from collections.abc import Callable, Sequence

import numpy as np

from .samples import Texts, counts

# Spans of the token objective have 1 to 39 tokens, their lengths drawn from a Poisson distribution.
LONGEST_SPAN = 39

# The texts of short samples have at least this many tokens.
SHORTEST_SAMPLE = 32

# (text, start, stop) of the spans, in the order of Part B: arrays (spans,), start and stop in `Texts.ids`.
SpanArrays = tuple[np.ndarray, np.ndarray, np.ndarray]


class Draws:
    """
    Uniform random numbers in [0, 1) for the texts of a batch, from one counter-based generator (Philox): `seed` is its
    key, the number of the sample and of the part of it are its counter.

    Args:
        seed: Any non-negative integer.
        samples: (texts,) non-negative integers, the number of the sample that each text belongs to.
        parts: (texts,) tells apart the texts of one sample.
        lengths: (texts,) tokens of the texts.
        streams: How many numbers per token there are, besides the HEAD numbers per text.
    """

    HEAD = 8

    def __init__(
        self, seed: int, samples: Sequence[int], parts: Sequence[int], lengths: Sequence[int], streams: int = 0
    ):
        bits = np.random.Philox(key=seed)
        generator, state = np.random.Generator(bits), bits.state
        counter = state["state"]["counter"]
        self._lengths = np.asarray(lengths, dtype=np.int64)
        sizes = self.HEAD + streams * self._lengths
        stops = np.cumsum(sizes)
        self._starts = stops - sizes
        self._numbers = np.empty(int(stops[-1]))
        for sample, part, start, stop in zip(samples, parts, self._starts.tolist(), stops.tolist(), strict=True):
            counter[:] = (0, part, sample, 0)
            bits.state = state
            generator.random(out=self._numbers[start:stop])

    def head(self, index: int) -> np.ndarray:
        """(texts,) the `index`-th number of every text."""
        return self._numbers[self._starts + index]

    def stream(self, stream: int, text: np.ndarray, index: np.ndarray) -> np.ndarray:
        """Numbers of the texts `text` in one of the streams, each at an `index` below the length of its text."""
        return self._numbers[self._starts[text] + self.HEAD + stream * self._lengths[text] + index]


def poisson_lengths(mean: float) -> np.ndarray:
    """Probabilities of the span lengths 1 ... 39: a Poisson distribution restricted to them."""
    lengths = np.arange(1, LONGEST_SPAN + 1)
    log_factorials = np.cumsum(np.log(lengths))
    weights = np.exp(lengths * np.log(mean) - log_factorials)
    return weights / weights.sum()


def draw_token_spans(
    texts: Texts,
    chosen: np.ndarray,
    single: np.ndarray,
    draws: Draws,
    *,
    ratio: float,
    probabilities: np.ndarray,
    boundary: np.ndarray,
) -> SpanArrays:
    """
    The token objective (paper section 2.1.1): lengths are drawn until they cover `ratio` of the text, and the spans are
    put anywhere in it with at least one token between them, never across the end of a document. The last token of a
    text is not blanked out. Where there is no room for a length, it is cut to what there is.

    Args:
        texts: The texts.
        chosen: (texts,) bool, those that get such spans.
        single: (texts,) bool, those that get one span only.
        draws: With three streams.
        ratio: Share of the tokens to cover (rounded down), at least one token.
        probabilities: Of the lengths 1, 2, ...
        boundary: (tokens,) bool, what opens and ends documents and is never blanked out.
    """
    run_starts, run_lengths, run_text = _free_runs(texts, boundary)
    keep = chosen[run_text]
    run_starts, run_lengths, run_text = run_starts[keep], run_lengths[keep], run_text[keep]
    count_texts = len(texts.lengths)

    # As many lengths per text as it could need, of which the first ones that reach the share stay.
    wanted = np.where(single, 1, _share(ratio, texts.lengths))
    wanted[np.bincount(run_text, minlength=count_texts) == 0] = 0
    text = np.repeat(np.arange(len(wanted)), wanted)
    index = counts(wanted)
    lengths = np.searchsorted(np.cumsum(probabilities)[:-1], draws.stream(0, text, index), side="right") + 1
    before = _sum_before(lengths, text)
    stays = before < wanted[text]
    text, index, lengths, before = text[stays], index[stays], lengths[stays], before[stays]

    # A text of several documents: laid out evenly over the text, each span belongs to the document below its middle.
    middle = (before + lengths / 2) / np.bincount(text, weights=lengths)[text]
    room = np.bincount(run_text, weights=run_lengths, minlength=count_texts)
    room_before = np.cumsum(room) - room
    run_stops = np.cumsum(run_lengths)
    run = np.searchsorted(run_stops, room_before[text] + middle * room[text], side="right")

    lengths = _fit(lengths, run, np.maximum(run_lengths - 1, 1))
    fits = lengths > 0
    text, index, lengths, run = text[fits], index[fits], lengths[fits], run[fits]

    # Without their lengths and the tokens between them, the spans of a run are points in what is left of it.
    count = np.bincount(run, minlength=len(run_lengths))
    left = run_lengths - np.bincount(run, weights=lengths, minlength=len(run_lengths)).astype(np.int64) - count + 2
    point = (draws.stream(1, text, index) * left[run]).astype(np.int64)
    point = point[np.lexsort((point, run))]
    start = run_starts[run] + point + _sum_before(lengths + 1, run)
    return text, start, start + lengths


def draw_sentence_spans(
    texts: Texts, chosen: np.ndarray, draws: Draws, *, ratio: float, boundary: np.ndarray, ends: np.ndarray
) -> SpanArrays:
    """
    The sentence objective (paper section 2.2): whole sentences in random order until they cover `ratio` of the text.

    Args:
        texts, chosen, draws, ratio, boundary: As for the token objective.
        ends: (tokens,) bool, tokens with which sentences end.
    """
    number = texts.numbers
    free = ~boundary & chosen[number]
    starts, lengths = _runs(free, number, closes=ends)
    text = number[starts]
    keys = draws.stream(0, text, _count_within(text))
    order = np.lexsort((keys, text))
    starts, lengths = starts[order], lengths[order]
    stays = _sum_before(lengths, text) < _share(ratio, texts.lengths)[text]
    return text[stays], starts[stays], (starts + lengths)[stays]


def draw_document_spans(
    texts: Texts,
    chosen: np.ndarray,
    draws: Draws,
    *,
    min_ratio: float,
    suffix_probability: float,
    boundary: np.ndarray,
) -> tuple[SpanArrays, np.ndarray]:
    """
    The document objective (paper section 2.2): one span of uniform length in [min_ratio x length, length - 2], which is
    the rest of the text with probability `suffix_probability`, and always where the text holds several documents.

    Args:
        texts, chosen, draws, boundary: As for the token objective.

    Returns:
        The spans, and (spans,) bool, True where the span is the rest of its text.
    """
    text = np.flatnonzero(chosen)
    length = texts.lengths[text]
    longest = np.maximum(length - 2, 1)
    shortest = np.clip((min_ratio * length).astype(np.int64), 1, longest)
    size = shortest + (draws.head(2)[text] * (longest - shortest + 1)).astype(np.int64)
    inner = boundary.copy()
    inner[texts.offsets[:-1]] = inner[texts.offsets[1:] - 1] = False
    several = np.bincount(texts.numbers[inner], minlength=len(chosen))[text] > 0
    suffix = (draws.head(3)[text] < suffix_probability) | several | (length < 3)
    anywhere = 1 + (draws.head(4)[text] * (length - 1 - size)).astype(np.int64)
    start = texts.offsets[text] + np.where(suffix, length - size, anywhere)
    return (text, start, start + size), suffix


def cut_short_texts(
    ids: np.ndarray, draw: Callable[[int], np.ndarray], boundary: np.ndarray, ends: np.ndarray
) -> list[np.ndarray]:
    """
    Short samples out of a long text: a length is drawn, and as many parts of about that length as would fit into the text
    are taken from anywhere in it, from the start of a sentence to the end of one where these are near.

    Args:
        ids: (length,) a text without its first token, which the parts get back.
        draw: Gives so many uniform numbers.
        boundary, ends: (length,) bool, what opens and ends documents, and with what sentences end.

    Returns:
        (part length,) for every part.
    """
    size = SHORTEST_SAMPLE + int(draw(1)[0] * max(1, len(ids) - SHORTEST_SAMPLE))
    if size >= len(ids):
        return [ids]
    # Starts of sentences: behind an end or a boundary, and not at the end of a document.
    opens = np.flatnonzero(~boundary[1:] & (ends | boundary)[:-1]) + 1
    closes = np.flatnonzero(ends | boundary) + 1
    parts = []
    for number in draw(len(ids) // size):
        start = int(number * (len(ids) - size))
        earlier = opens[: np.searchsorted(opens, start, side="right")]
        start = int(earlier[-1]) if len(earlier) else 0
        within = closes[(closes > start) & (closes <= start + size)]
        stop = int(within[-1]) if len(within) and within[-1] - start >= size // 2 else start + size
        parts.append(ids[start:stop])
    return parts


def _share(ratio: float, lengths: np.ndarray) -> np.ndarray:
    """`ratio` of the lengths, rounded down, at least 1."""
    return np.maximum((ratio * lengths + 1e-9).astype(np.int64), 1)


def _free_runs(texts: Texts, boundary: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    What the token objective may blank out: starts, lengths and texts of the runs between what opens and ends documents,
    without the last token of a text unless there is no other. (runs,) each.
    """
    firsts, lasts = texts.offsets[:-1], texts.offsets[1:] - 1
    # Every text begins with a boundary and ends with one or its last token, so what lies between two is in one text.
    marks = np.union1d(np.flatnonzero(boundary), lasts)
    starts, lengths = marks[:-1] + 1, np.diff(marks) - 1
    starts, lengths = starts[lengths > 0], lengths[lengths > 0]
    text = np.searchsorted(firsts, starts, side="right") - 1
    alone = ~boundary[lasts]
    alone[text] = False
    if alone.any():
        starts, lengths = np.append(starts, lasts[alone]), np.append(lengths, np.ones(alone.sum(), dtype=np.int64))
        order = np.argsort(starts)
        starts, lengths = starts[order], lengths[order]
        text = np.searchsorted(firsts, starts, side="right") - 1
    return starts, lengths, text


def _runs(free: np.ndarray, number: np.ndarray, closes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """
    Starts and lengths of the runs of True in `free` that stay within one text, (runs,) each. A run also ends behind every
    token where `closes` is True.
    """
    broken = np.ones(len(free), dtype=bool)
    broken[1:] = ~free[:-1] | (number[1:] != number[:-1]) | closes[:-1]
    starts = np.flatnonzero(free & broken)
    lengths = np.bincount(np.cumsum(free & broken)[free] - 1, minlength=len(starts))
    return starts, lengths


def _count_within(group: np.ndarray) -> np.ndarray:
    """Counts anew in every group of a sorted array: [3 3 5 5 5] -> [0 1 0 1 2]."""
    return np.arange(len(group)) - np.searchsorted(group, group)


def _sum_before(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Sum of what stands before each value in its group of a sorted array."""
    before = np.cumsum(values) - values
    return before - before[np.searchsorted(group, group)]


def _fit(lengths: np.ndarray, run: np.ndarray, room: np.ndarray) -> np.ndarray:
    """Lengths of spans that go into the room of their run with a token between them; 0 where there is no place left."""
    stops = np.minimum(_sum_before(lengths + 1, run) + lengths, room[run])
    starts = np.zeros_like(stops)
    follows = run[1:] == run[:-1]
    starts[1:][follows] = stops[:-1][follows] + 1
    return np.maximum(stops - starts, 0)

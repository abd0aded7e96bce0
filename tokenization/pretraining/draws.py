"""Random numbers that depend on the seed and the number of a sample, and on nothing else in the batch."""

from collections.abc import Sequence
from enum import IntEnum

import numpy as np


class TextDraw(IntEnum):
    """The numbers that each text has once."""

    SINGLE_SPAN = 0
    OBJECTIVE = 1
    DOCUMENT_LENGTH = 2
    DOCUMENT_SUFFIX = 3
    DOCUMENT_START = 4
    POSITION_SHIFT = 5
    SPAN_OFFSET = 6
    # One more is unused. It keeps the later numbers where they were.
    COUNT = 8


class TokenStream(IntEnum):
    """The numbers that each text has once per token. Objectives share streams, since a text has one objective."""

    SPAN_LENGTH = 0
    SENTENCE_ORDER = 0
    SPAN_PLACE = 1
    PIECE_ORDER = 2
    VARIANTS = 3  # the first stream for the options of `variants`


class DrawFamily(IntEnum):
    """Families of samples whose numbers are apart: equal numbers of two families have other draws."""

    NUMBERED = 0  # by the caller, or in the order of the calls
    TRAINING = 1
    EVALUATION = 2


class Draws:
    """
    Uniform random numbers in [0, 1) for the texts of a batch.

    They come from a counter-based generator (Philox). Its key is the seed, its counter the family and the number of the
    sample, and the number of the part. So other batch sizes, more workers, more processes and a resumed run give the
    same blanks.

    Args:
        seed: Any non-negative integer.
        samples: (texts,) number of the sample of each text.
        parts: (texts,) number of each text within its sample.
        lengths: (texts,) tokens of each text.
        streams: Numbers per token, in addition to the `TextDraw` numbers.
        families: (texts,) family of the number of each sample. By default all are `DrawFamily.NUMBERED`.
    """

    def __init__(
        self,
        seed: int,
        samples: Sequence[int],
        parts: Sequence[int],
        lengths: Sequence[int],
        streams: int = 0,
        families: Sequence[int] | None = None,
    ):
        bits = np.random.Philox(key=seed)
        generator, state = np.random.Generator(bits), bits.state
        counter = state["state"]["counter"]
        self._lengths = np.asarray(lengths, dtype=np.int64)
        sizes = TextDraw.COUNT + streams * self._lengths
        stops = np.cumsum(sizes)
        self._starts = stops - sizes
        self._numbers = np.empty(int(stops[-1]))
        families = families or [DrawFamily.NUMBERED] * len(samples)
        starts = self._starts.tolist()
        for sample, family, part, start, stop in zip(samples, families, parts, starts, stops.tolist(), strict=True):
            counter[:] = (0, part, sample, family)
            bits.state = state
            generator.random(out=self._numbers[start:stop])

    def head(self, index: int) -> np.ndarray:
        """Return (texts,), one of the `TextDraw` numbers of every text."""
        return self._numbers[self._starts + index]

    def stream(self, stream: int, text: np.ndarray, index: np.ndarray) -> np.ndarray:
        """
        Return numbers of one stream.

        Args:
            stream: The stream.
            text: (numbers,) the text that each number is for.
            index: (numbers,) place in the stream, below the length of the text.
        """
        return self._numbers[self._starts[text] + TextDraw.COUNT + stream * self._lengths[text] + index]

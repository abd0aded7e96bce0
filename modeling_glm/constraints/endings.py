"""
Find short ways to the end of an answer that a grammar describes.

The states of a parser cannot be counted, so there is no table of distances as for patterns. Two searches try bytes. The
first goes straight ahead, and takes the bytes first that close something. The second visits short texts first: states look
alike if they allow the same next bytes, such as all states inside a string, and of these it follows a few. So an ending
that is found is right, but a shorter one may exist.
"""

import heapq
import itertools
import string
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .grammar import END_OF_BYTES, Grammar, byte_matcher

if TYPE_CHECKING:
    from llguidance import LLMatcher

# The order in which bytes are tried: what closes something, then letters and signs, last what opens something and white space.
CLOSING, LAST = b"\"'}])>;/0a", b"([{< \n\r\t"
ORDER = (*CLOSING, *sorted(set(range(256)) - {*CLOSING, *LAST}), *LAST)
RANK = {byte: rank for rank, byte in enumerate(ORDER)}
# Where more bytes may follow, only those in the list are tried, and a few of the others.
FEW = 16
STAND_FOR_ALL = string.punctuation.encode() + b" \n01aA"
MOST_ALIKE = 2  # states that look the same, with texts of one length
MOST_DELAY = 32  # bytes, for a state that looks like states before it
MOST_STATES = 2000  # that one search visits
MOST_ENDS = 64  # of which the one with the fewest tokens is taken


class Ending(NamedTuple):
    """Hold what completes an answer: its text, and the fewest tokens that write it."""

    text: bytes
    token_ids: tuple[int, ...]


class EndingSearch:
    """
    Find endings for the answers of a grammar.

    Args:
        grammar: The grammar.
        tokens: The bytes of the tokens that may be in an answer.
    """

    def __init__(self, grammar: Grammar, tokens: Mapping[int, bytes]):
        self._start = byte_matcher(grammar)
        self._token_of = {text: token_id for token_id, text in tokens.items()}
        self._lengths: dict[int, list[int]] = {}  # of the tokens that begin with a byte
        for first, length in sorted({(text[0], len(text)) for text in self._token_of}):
            self._lengths.setdefault(first, []).append(length)
        self._is_known = np.zeros(END_OF_BYTES, np.bool_)
        self._is_known[list({byte for text in self._token_of for byte in text})] = True

    def find(self, written: bytes, most_states: int = MOST_STATES) -> Ending | None:
        """
        Find an ending.

        Args:
            written: The answer so far.
            most_states: How many states each of the two searches visits at most.

        Returns:
            The ending with the fewest tokens among those found, or None.
        """
        start = self._start.deep_copy()
        if start.try_consume_tokens(list(written)) != len(written):
            return None
        best: Ending | None = None
        for text in itertools.chain(
            itertools.islice(self._go_ahead(start.deep_copy(), most_states), 1),
            itertools.islice(self._visit_short(start, most_states), MOST_ENDS),
        ):
            if best is not None and (len(best.token_ids) <= 1 or len(text) > 2 * len(best.text) + 16):
                break
            token_ids = self.cut(text)
            if token_ids is not None and (best is None or len(token_ids) < len(best.token_ids)):
                best = Ending(text, token_ids)
        return best

    def cut(self, text: bytes) -> tuple[int, ...] | None:
        """Cut a text into the fewest tokens. Returns None if the vocabulary cannot write it."""
        # For every place the tokens in front of it, or None where no token ends.
        found: list[tuple[int, ...] | None] = [(), *[None] * len(text)]
        for place, byte in enumerate(text):
            before = found[place]
            if before is None:
                continue
            for length in self._lengths.get(byte, ()):
                end = place + length
                if end > len(text):
                    break
                known = found[end]
                if known is None or len(known) > len(before) + 1:
                    token_id = self._token_of.get(text[place:end])
                    if token_id is not None:
                        found[end] = (*before, token_id)
        return found[-1]

    def _go_ahead(self, start: "LLMatcher", most_states: int) -> Iterator[bytes]:
        """Yield endings, depth first."""
        waiting = [(b"", start)]
        for _ in range(most_states):
            if not waiting:
                return
            text, state = waiting.pop()
            if state.is_accepting():
                if self.cut(text) is not None:
                    yield text
                continue
            waiting += reversed(list(self._follow(text, state, state.compute_bitmask())))

    def _visit_short(self, start: "LLMatcher", most_states: int) -> Iterator[bytes]:
        """Yield endings, short ones first."""
        number = itertools.count()
        waiting = [(0, next(number), b"", start, False)]
        seen: Counter[bytes] = Counter()
        alike: Counter[tuple[int, bytes]] = Counter()
        for _ in range(most_states):
            if not waiting:
                return
            _, _, text, state, was_delayed = heapq.heappop(waiting)
            if not was_delayed and state.is_accepting():
                yield text
            mask = state.compute_bitmask()
            if not was_delayed:
                alike[len(text), mask] += 1
                if alike[len(text), mask] > MOST_ALIKE:
                    continue
                delay = min(seen[mask], MOST_DELAY)
                seen[mask] += 1
                if delay:
                    heapq.heappush(waiting, (len(text) + delay, next(number), text, state, True))
                    continue
            for longer, after in self._follow(text, state, mask):
                heapq.heappush(waiting, (len(longer), next(number), longer, after, False))

    def _follow(self, text: bytes, state: "LLMatcher", mask: bytes) -> Iterator[tuple[bytes, "LLMatcher"]]:
        """Yield the states behind a state, with their texts: what closes something first."""
        forced = state.compute_ff_bytes()
        bits = np.unpackbits(np.frombuffer(mask, np.uint8), bitorder="little")[:END_OF_BYTES]
        bytes_ = sorted(np.flatnonzero(self._is_known & bits.view(np.bool_)).tolist(), key=RANK.__getitem__)
        if len(bytes_) > FEW:
            bytes_ = [byte for byte in bytes_ if byte in STAND_FOR_ALL] or bytes_[:4]
        for following in [forced] if forced else (bytes([byte]) for byte in bytes_):
            after = state.deep_copy()
            if after.try_consume_tokens(list(following)) == len(following):
                yield text + following, after

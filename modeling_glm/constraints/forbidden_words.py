"""Keep whole words out of answers, however they are cut into tokens."""

import re
from bisect import bisect_left
from codecs import getincrementaldecoder
from collections.abc import Iterator, Sequence
from functools import lru_cache

import torch

from ..tokenization import GLMTokenizer
from ..tokenization.token_bytes import token_bytes
from .automaton import Prefix

IN_WORD = re.compile(r"\w")
# The two letters i that differ in Turkish: the same in any case, as Python's regular expressions take them.
TURKISH = str.maketrans("İı", "ii")
CONTINUATION_BYTES = range(0x80, 0xC0)  # of UTF-8: all bytes of a character but the first
UNREADABLE = "\ufffd"
# Each has a mask of the vocabulary.
REMEMBERED_TAILS = 1024


class ForbiddenWords:
    """
    Find whole words in texts, in any case. The time does not depend on the number of words.

    A word is whole if it does not begin or end within another one: "he" is not in "the". Between a letter and a sign words
    begin and end, so that "-seven" is in "twenty-seven".
    """

    def __init__(self, words: Sequence[str]):
        self._words = frozenset(map(fold, words))
        self._longest = max(map(len, self._words), default=0)

    def __contains__(self, text: str) -> bool:
        return next(self.find(text), None) is not None

    def find(self, text: str, *, inside: bool = False) -> Iterator[tuple[int, int]]:
        """Yield where the words stand that a text has. `inside`: a letter stands in front of the text."""
        folded, ends = fold(text), find_ends(text)
        for start in find_starts(text, inside):
            for end in ends[bisect_left(ends, start + 1) :]:
                if end - start > self._longest:
                    break
                if folded[start:end] in self._words:
                    yield start, end

    def has(self, folded: str) -> bool:
        """Return whether a folded text is one of the words."""
        return folded in self._words


class ForbiddenWordsAutomaton:
    """Accept answers without certain words, in any case and in any split into tokens, which may also cut characters."""

    def __init__(self, tokenizer: GLMTokenizer, forbidden: Sequence[str], vocab_size: int):
        self._bytes = {token_id: added for token_id, added in token_bytes(tokenizer).items() if token_id < vocab_size}
        self._forbidden = ForbiddenWords(forbidden)
        self._beginnings = sorted(word.casefold() for word in forbidden)
        self._longest = max(map(len, self._beginnings), default=0)
        # A word at the end may go on, as "the" in "then": only a complete word is forbidden, which ends in a sign or has one
        # behind it. A token without signs completes nothing, and most tokens have none.
        self._always = torch.ones(vocab_size, dtype=torch.bool)  # False for tokens that have a complete word inside
        self._closing: list[int] = []  # begin with a sign
        self._inner: list[tuple[int, str, list[int]]] = []  # complete words later: their folded text, and where
        # The other bytes of a character, and perhaps more.
        self._going_on = [token_id for token_id, added in self._bytes.items() if added[0] in CONTINUATION_BYTES]
        for token_id, added in self._bytes.items():
            text, _ = decode(added)
            ends = _find_edges(text, before=True, behind=True)
            if not ends:
                continue
            if ends[0] == 0:
                self._closing.append(token_id)
            if later := [end for end in ends if end]:
                self._inner.append((token_id, fold(text), later))
            if any(end in ends for _, end in self._forbidden.find(text, inside=True)):
                self._always[token_id] = False
        self._mask = lru_cache(REMEMBERED_TAILS)(self._make_mask)

    def allowed(self, prefix: Prefix, room: int) -> torch.Tensor:
        return self._mask(*self._tail(prefix))

    def may_end(self, prefix: Prefix) -> bool:
        tail, inside, pending = self._tail(prefix)
        text = tail + pending.decode("utf-8", "replace")
        return next(self._forbidden.find(text, inside=inside), None) is None

    def _make_mask(self, tail: str, inside: bool, pending: bytes) -> torch.Tensor:
        if pending:
            # Without its other bytes the character is a sign, which stands for what cannot be read.
            mask = self._mask(tail + UNREADABLE, inside, b"").clone()
            for token_id in self._going_on:
                text = tail + decode(pending + self._bytes[token_id])[0]
                edges = _find_edges(text, before=inside, behind=True)
                mask[token_id] = not any(end in edges for _, end in self._forbidden.find(text, inside=inside))
            return mask
        mask, folded = self._always.clone(), fold(tail)
        starts = find_starts(tail, inside)
        if any(end < len(tail) for _, end in self._forbidden.find(tail, inside=inside)):
            mask[list(self._bytes)] = False
        if any(self._forbidden.has(folded[start:]) for start in starts):
            mask[self._closing] = False
        for token_id, text, ends in self._inner:
            if any(self._forbidden.has(folded[start:] + text[:end]) for start in starts for end in ends):
                mask[token_id] = False
        return mask

    def _tail(self, prefix: Prefix) -> tuple[str, bool, bytes]:
        """
        Find the end of the text that may still become a forbidden word, or else its last character.

        Returns:
            The end, whether it begins inside of a word, and the bytes of a character behind it that lacks others.
        """
        text, pending = decode(b"".join(self._bytes.get(token_id, b"") for token_id in prefix))
        place = max(0, len(text) - self._longest)
        last, inside = text[place:], place > 0 and _is_letter(text[place - 1])
        for start in find_starts(last, inside):
            if start < len(last) and self._begins(last[start:].casefold()):
                return last[start:], False, pending
        return text[-1:], len(text) > 1 and _is_letter(text[-2]), pending

    def _begins(self, text: str) -> bool:
        place = bisect_left(self._beginnings, text)
        return place < len(self._beginnings) and self._beginnings[place].startswith(text)


def decode(data: bytes) -> tuple[str, bytes]:
    """Decode UTF-8 up to the last whole character. Returns the text and the bytes behind it, which lack others."""
    decoder = getincrementaldecoder("utf-8")("replace")
    return decoder.decode(data), decoder.getstate()[0]


def _is_letter(character: str) -> bool:
    """Return whether a character belongs to a word. All others are signs."""
    return IN_WORD.match(character) is not None


def _find_edges(text: str, *, before: bool, behind: bool) -> list[int]:
    """List the places that are not between two letters. `before`, `behind`: letters stand in front of the text and behind."""
    letters = [before, *map(_is_letter, text), behind]
    return [place for place in range(len(text) + 1) if not (letters[place] and letters[place + 1])]


def find_starts(text: str, inside: bool = False) -> list[int]:
    """List the places where a word of letters or signs may begin; behind the text, letters are expected."""
    return _find_edges(text, before=inside, behind=True)


def find_ends(text: str) -> list[int]:
    """List the places where a word may end; in front of the text, letters are expected. The last one is its end."""
    return _find_edges(text, before=True, behind=False)


def fold(text: str) -> str:
    """Fold the case of a text, character by character, so that places stay."""
    text = text.translate(TURKISH)
    folded = text.casefold()
    if len(folded) == len(text):
        return folded
    return "".join(next((form for form in (c.casefold(), c.lower()) if len(form) == 1), c) for c in text)

"""Keep held-out texts out of the texts to train on: whole ones, and windows of 13 words, as is usual for language models."""

import re
from collections.abc import Iterable, Iterator

WINDOW = 13
_WORD = re.compile(r"\w+(?:'\w+)?")


def words_of(text: str) -> list[str]:
    """Return the words of a text without case and punctuation."""
    return _WORD.findall(text.lower())


class LeakFinder:
    """
    Find texts that share something with held-out ones.

    A text leaks if it contains a window of 13 words of a held-out text, or is the same as one without case and punctuation.
    """

    def __init__(self, held_out: Iterable[str]) -> None:
        self._whole: set[tuple[str, ...]] = set()
        self._windows: set[int] = set()
        for text in held_out:
            words = words_of(text)
            self._whole.add(tuple(words))
            self._windows.update(_windows(words))

    def leaks(self, text: str) -> bool:
        """Return whether a text to train on shares something with a held-out text."""
        words = words_of(text)
        return tuple(words) in self._whole or any(window in self._windows for window in _windows(words))


def _windows(words: list[str]) -> Iterator[int]:
    """Yield a hash of each window. Equal windows have equal hashes; others have one in 2**61 by chance."""
    for start in range(len(words) - WINDOW + 1):
        yield hash(tuple(words[start : start + WINDOW]))

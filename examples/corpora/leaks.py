"""Keep held-out texts out of the texts to train on: whole ones, and windows of 13 words, as is usual for language models."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator

WINDOW = 13
SHORTEST_PASSAGE = 4
_WORD = re.compile(r"\w+(?:'\w+)?")


def words_of(text: str) -> list[str]:
    """Return the words of a text without case and punctuation."""
    return _WORD.findall(text.lower())


class LeakFinder:
    """
    Find texts that share something with held-out ones.

    A text leaks if it contains a window of 13 words of a held-out text, is the same as one without case and punctuation, or
    contains a held-out passage.

    Args:
        held_out: Texts.
        passages: Parts of texts that no text may contain, such as definitions. Those of less than four words say too little
            and are not looked for.
    """

    def __init__(self, held_out: Iterable[str], passages: Iterable[str] = ()) -> None:
        self._whole: set[tuple[str, ...]] = set()
        self._windows: set[tuple[str, ...]] = set()
        self._passages: dict[tuple[str, ...], set[tuple[str, ...]]] = defaultdict(set)
        for text in held_out:
            words = words_of(text)
            self._whole.add(tuple(words))
            self._windows.update(_windows(words, WINDOW))
        for passage in passages:
            words = words_of(passage)
            if len(words) >= SHORTEST_PASSAGE:
                self._passages[tuple(words[:SHORTEST_PASSAGE])].add(tuple(words[SHORTEST_PASSAGE:]))

    def leaks(self, text: str) -> bool:
        """Return whether a text to train on shares something with a held-out text."""
        words = words_of(text)
        return (
            tuple(words) in self._whole
            or not self._windows.isdisjoint(_windows(words, WINDOW))
            or self._has_passage(words)
        )

    def _has_passage(self, words: list[str]) -> bool:
        for start, beginning in enumerate(_windows(words, SHORTEST_PASSAGE), start=SHORTEST_PASSAGE):
            for rest in self._passages.get(beginning, ()):
                if tuple(words[start : start + len(rest)]) == rest:
                    return True
        return False


def _windows(words: list[str], size: int) -> Iterator[tuple[str, ...]]:
    """Yield all runs of so many words."""
    return zip(*(words[offset:] for offset in range(size)), strict=False)

"""Blanks in held-out texts, and which answers are right."""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..documents import Document

MASK = "[MASK]"
MAX_WORDS = 3
CHUNK = re.compile(r"([(\"']*)(.*?)([.,:;!?)\"']*)")


@dataclass(frozen=True, kw_only=True)
class HeldOutBlank:
    """
    A text with a hidden span. Punctuation around the span stays in the text.

    Attributes:
        family: What kind of text it is.
        text: The text with `[MASK]`.
        answer: The words of the span.
        others: Other answers that are right as well.
    """

    family: str
    text: str
    answer: str
    others: tuple[str, ...] = ()

    @property
    def words(self) -> int:
        """Number of missing words."""
        return len(self.answer.split())

    def is_right(self, answer: str) -> bool:
        """Return whether an answer is the hidden span or one of the others."""
        return answer == self.answer or answer in self.others


def make_blanks(documents: Sequence[Document], *, count: int, seed: int) -> list[HeldOutBlank]:
    """Make `count` blanks, each in a random document. A document may be drawn again."""
    rng = random.Random(seed)
    return [_make_blank(rng.choice(documents), rng) for _ in range(count)]


def _make_blank(document: Document, rng: random.Random) -> HeldOutBlank:
    wanted = rng.randint(1, MAX_WORDS)
    spans = next(spans for words in range(wanted, 0, -1) if (spans := list(find_spans(document.text, words))))
    start, end = rng.choice(spans)
    text = document.text
    return HeldOutBlank(family=document.family, text=text[:start] + MASK + text[end:], answer=text[start:end])


def find_spans(text: str, words: int) -> Iterator[tuple[int, int]]:
    """Yield where so many words follow each other without punctuation between them: first character and end."""
    chunks = [
        (chunk.start() + len(match[1]), chunk.end() - len(match[3]), match)
        for chunk in re.finditer(r"\S+", text)
        if (match := CHUNK.fullmatch(chunk[0]))
    ]
    for first in range(len(chunks) - words + 1):
        run = chunks[first : first + words]
        inside = "".join(match[3] for *_, match in run[:-1]) + "".join(match[1] for *_, match in run[1:])
        if not inside and all(match[2] for *_, match in run):
            yield run[0][0], run[-1][1]


def exact_match(predictions: Sequence[str], blanks: Sequence[HeldOutBlank]) -> float:
    """Return the share of blanks with a right answer."""
    return sum(blank.is_right(given) for given, blank in zip(predictions, blanks, strict=True)) / len(blanks)

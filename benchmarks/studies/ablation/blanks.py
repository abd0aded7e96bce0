"""Hide several words or short runs of words in a text, where an answer may depend on the other answers."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from examples.corpora.documents import Document
from examples.corpora.measuring.blanks import MASK, MAX_WORDS, HeldOutBlank, find_spans

FEWEST, MOST = 2, 4
WORDS_PER_BLANK = 6  # a text with so many words has room for one blank


@dataclass(frozen=True, kw_only=True)
class BlankedText:
    """
    A text with blanks and their answers, from left to right.

    Attributes:
        text: The text with `[MASK]` for each hidden run of words. Punctuation around a run stays.
        answers: The hidden words.
    """

    text: str
    answers: tuple[str, ...]

    @property
    def targets(self) -> list[str]:
        """The answers as the pieces hold them: a word inside a text begins with the space before it."""
        before = self.text.split(MASK)
        return [" " * side.endswith(" ") + answer for side, answer in zip(before, self.answers, strict=False)]


def as_blanked(blank: HeldOutBlank) -> BlankedText:
    """Return a text with one blank in the form of those with several."""
    return BlankedText(text=blank.text, answers=(blank.answer,))


def make_several_blanks(documents: Sequence[Document], *, count: int, seed: int) -> list[BlankedText]:
    """
    Blank out two to four runs of one to three words in each of `count` random documents.

    At least one word stands between two blanks. Documents with fewer than twelve words are left out.

    Raises:
        ValueError: If no document is long enough.
    """
    rng = random.Random(seed)
    long_enough = [d for d in documents if len(d.text.split()) >= FEWEST * WORDS_PER_BLANK]
    if not long_enough:
        raise ValueError(
            f"No held-out document has {FEWEST * WORDS_PER_BLANK} words, which {FEWEST} blanks need: give longer ones."
        )
    texts: list[BlankedText] = []
    while len(texts) < count:
        text = rng.choice(long_enough).text
        wanted = rng.randint(FEWEST, max(FEWEST, min(MOST, len(text.split()) // WORDS_PER_BLANK)))
        spans = _draw_spans(text, wanted, rng)
        if len(spans) >= FEWEST:
            texts.append(_blank_out(text, spans))
    return texts


def _draw_spans(text: str, wanted: int, rng: random.Random) -> list[tuple[int, int]]:
    """Draw up to `wanted` spans of characters with a word between any two, in their order."""
    chosen: list[tuple[int, int]] = []
    for _ in range(wanted):
        words = rng.randint(1, MAX_WORDS)
        free = [span for span in find_spans(text, words) if all(_are_apart(text, span, other) for other in chosen)]
        if free:
            chosen.append(rng.choice(free))
    return sorted(chosen)


def _are_apart(text: str, one: tuple[int, int], other: tuple[int, int]) -> bool:
    (_, end), (start, _) = sorted((one, other))
    return any(character.isalnum() for character in text[end:start])


def _blank_out(text: str, spans: Sequence[tuple[int, int]]) -> BlankedText:
    ends = [0, *(end for _, end in spans)]
    starts = [*(start for start, _ in spans), len(text)]
    kept = [text[end:start] for end, start in zip(ends, starts, strict=True)]
    return BlankedText(text=MASK.join(kept), answers=tuple(text[start:end] for start, end in spans))

"""Make infilling data: replace random words of a text by blanks."""

from random import Random

BLANK = "[MASK]"


def blank_words(text: str, ratio: float, rng: Random, blank: str = BLANK) -> tuple[str, list[str]]:
    """
    Replace a share of the words of a text by blanks; neighbours share one.

    Draws are those of the originals: `int(words * ratio)` words without replacement, one call of `rng` for each text. So the
    same generator over the same texts in the same order gives their blanks.

    Args:
        text: The text; its words stand between white space.
        ratio: Share of the words, from 0 to 1.
        rng: A `random.Random`.
        blank: What a blank is written as.

    Returns:
        The text with its words joined by one space, and the words of every blank. A short text has no blank, if
        `words * ratio` is below 1.

    Raises:
        ValueError: For a ratio outside 0 to 1.

    Example:

    ```python
    >>> blank_words("one two three four five six", 0.5, Random(1))
    ('[MASK] three four [MASK] six', ['one two', 'five'])
    ```
    """
    if not 0 <= ratio <= 1:
        raise ValueError(f"ratio={ratio!r}: expected a share of the words from 0 to 1.")
    words = text.split()
    removed = set(rng.sample(range(len(words)), int(len(words) * ratio)))
    kept: list[str] = []
    answers: list[list[str]] = []
    for place, word in enumerate(words):
        if place not in removed:
            kept.append(word)
        elif place - 1 in removed:
            answers[-1].append(word)
        else:
            kept.append(blank)
            answers.append([word])
    return " ".join(kept), [" ".join(answer) for answer in answers]


__all__ = ["BLANK", "blank_words"]

"""Make infilling data: replace random words of a text by blanks, and find the words that fill given blanks."""

from random import Random

BLANK = "[MASK]"


def blank_words(text: str, ratio: float, rng: Random, blank: str = BLANK) -> tuple[str, list[str]]:
    """
    Replace a share of the words of a text by blanks; neighbours share one.

    Draws are those of the originals: `int(words * ratio)` words without replacement, one call of `rng` for each text.
    So the same generator over the same texts in the same order gives their blanks.

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


def answers_between(blanked: str, text: str, blank: str = BLANK) -> list[str] | None:
    """
    Find what fills the blanks of a text, word by word. If several answers fit, the first blanks get the fewest words.

    Args:
        blanked: The text with blanks.
        text: The same text without them.
        blank: What a blank is written as.

    Returns:
        The words of every blank, at least one each; None if the texts do not fit.

    Example:

    ```python
    >>> answers_between("how do [MASK] a kettle [MASK] ?", "how do you clean a kettle well ?")
    ['you clean', 'well']
    ```
    """
    words = text.split()
    between: list[list[str]] = [[]]  # what stands before, between and behind the blanks
    for piece in blanked.split():
        if piece == blank:
            between.append([])
        else:
            between[-1].append(piece)
    first, *later = between
    if words[: len(first)] != first:
        return None
    if not later:
        return [] if words == first else None
    place, answers = len(first), []
    for number, fixed in enumerate(later):
        # Each blank has a word or more. The last text ends with the text, the others are taken as early as they come.
        last = number == len(later) - 1
        starts = [len(words) - len(fixed)] if last else range(place + 1, len(words) - len(fixed) + 1)
        end = next((start for start in starts if start > place and words[start : start + len(fixed)] == fixed), None)
        if end is None:
            return None
        answers.append(" ".join(words[place:end]))
        place = end + len(fixed)
    return answers


__all__ = ["BLANK", "answers_between", "blank_words"]

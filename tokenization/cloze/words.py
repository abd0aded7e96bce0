"""Compute the ids of the words of a verbalizer, and of the choices of an example."""

import warnings
from collections.abc import Callable, Sequence

from transformers import PreTrainedTokenizerFast

from ..blanks import shown_form
from ..patterns.encoding import tokenize

WordForms = Callable[[str], Sequence[Sequence[int]]]  # a word -> the ids of its forms


def encode_words(words: list[list[str]], tokenizer: PreTrainedTokenizerFast, before: str) -> list[list[list[int]]]:
    """
    Return the ids of the words of every label, each in the form that the pattern shows.

    Args:
        words: The words of every label, with the space that they begin with.
        tokenizer: A `GLMTokenizer`.
        before: The text of the pattern in front of the blank. A word without a space is glued to it. Without such a text,
            the word is encoded on its own.

    Raises:
        ValueError: For a word without tokens.
    """
    # One call for all words; [[" Yes"], [" No", " Never"]] goes in flat and comes out in rows.
    flat = iter(tokenize(tokenizer, [word for row in words for word in row], split_special_tokens=True))
    encoded = [[next(flat) for _ in row] for row in words]
    for row, ids in zip(words, encoded, strict=True):
        for number, word in enumerate(row):
            if not ids[number]:
                raise _without_tokens(word)
            if before.strip() and not word[0].isspace():
                ids[number] = list(shown_form(tokenizer, before, word))
    return encoded


def encode_forms(words: list[list[str]], forms: WordForms) -> list[list[list[int]]]:
    """
    Return the ids of the words of every label, in all forms that a word can have behind any text.

    A label that has the same ids twice gets them once, so that their probability counts once.

    Args:
        words: The words of every label as they were given. With white space in front they have one form.
        forms: Lists the forms of a word; see `answer_forms`.

    Raises:
        ValueError: For a word without tokens.
    """
    encoded = []
    for row in words:
        found = {tuple(form): word for word in row for form in (forms(word) if word.strip() else [()])}
        if () in found:
            raise _without_tokens(found[()])
        encoded.append([list(form) for form in found])
    return encoded


def warn_of_twins(labels: Sequence[str], encoded: list[list[list[int]]]):
    """Warn if words of two labels have the same tokens."""
    seen: dict[tuple[int, ...], str] = {}
    for label, ids in zip(labels, encoded, strict=True):
        for tokens in ids:
            other = seen.setdefault(tuple(tokens), label)
            if other != label:
                warnings.warn(
                    f"Words of the labels {other!r} and {label!r} have the same tokens {tokens}: the model cannot tell "
                    "them apart.",
                    stacklevel=5,
                )


def _without_tokens(word: str) -> ValueError:
    return ValueError(f"The word {word!r} has no tokens: nothing can be scored.")

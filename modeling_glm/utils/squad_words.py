"""Compare answers as the script of SQuAD does."""

import re
import string
from collections import Counter
from collections.abc import Sequence

ARTICLES = re.compile(r"\b(a|an|the)\b")


def squad_words(text: str) -> list[str]:
    """Return the words as SQuAD compares them: lower case, without punctuation and articles."""
    text = "".join(letter for letter in text.lower() if letter not in string.punctuation)
    return ARTICLES.sub(" ", text).split()


def word_f1(words: Sequence[str], answer: Sequence[str]) -> float:
    """Return the F1 of the words of two texts, 0 to 1. It is 0 if they share no word, and if both are empty."""
    shared = (Counter(words) & Counter(answer)).total()
    return 2 * shared / (len(words) + len(answer)) if shared else 0.0


__all__ = ["squad_words", "word_f1"]

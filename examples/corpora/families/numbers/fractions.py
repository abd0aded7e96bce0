"""Fractions in digits and in words."""

from collections.abc import Iterator

from ...documents import Document, state_fact
from ...spelling import cardinal, ordinal


def fractions() -> Iterator[Document]:
    templates = (
        "{a}/{b} is {words}.",
        "{Words} is written {a}/{b}.",
        "In the fraction {a}/{b} the numerator is {a} and the denominator is {b}.",
        "The fraction with numerator {a_words} and denominator {b_words} is {words}.",
        "{a} divided by {b} is {a}/{b}, read {words}.",
        "Cut a cake into {b} pieces and take {a} of them: this is {words} of the cake.",
    )
    for b in range(3, 31):
        for a in range(2, b):
            words = f"{cardinal(a)} {'quarter' if b == 4 else ordinal(b)}s"
            fields = {"a": a, "b": b, "a_words": cardinal(a), "b_words": cardinal(b), "words": words}
            yield from state_fact("fractions", [f"fraction:{a}/{b}"], templates, **fields)

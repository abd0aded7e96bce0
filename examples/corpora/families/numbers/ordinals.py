"""Ranks in digits and in words."""

from collections.abc import Iterator

from ...documents import Document, sample, state_fact
from ...spelling import cardinal, number_key, ordinal, ordinal_digits


def ordinals() -> Iterator[Document]:
    templates = (
        "The {short} is the {long}.",
        "The rank {short} is read as {long}.",
        "Number {n} in a row is the {long}, written {short}.",
        "The {long} place belongs to number {n}, {words}.",
        "From {words} comes the rank {long}, and from {n} comes {short}.",
        "In short, the {long} is written {short}.",
    )
    for n in [*range(1, 800), *sample("ordinals", range(800, 3000), 500)]:
        fields = {"n": n, "words": cardinal(n), "long": ordinal(n), "short": ordinal_digits(n)}
        yield from state_fact("ordinals", [number_key(n)], templates, **fields)

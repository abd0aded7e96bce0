"""The letters of the English alphabet."""

import string
from collections.abc import Iterator

from ...documents import Document, state_fact
from ...spelling import ordinal


def alphabet() -> Iterator[Document]:
    templates = (
        "{letter} is the {rank} letter of the alphabet.",
        "The {rank} letter of the alphabet is {letter}.",
        "Letter number {n} is {letter}, the {rank}.",
        "The capital of {small} is {letter}.",
        "In lower case, {letter} is {small}.",
        "The word {rank} gives the place of {letter}, and {n} is its number.",
    )
    for n, letter in enumerate(string.ascii_uppercase, start=1):
        for repeat in range(3):
            fields = {"n": n, "letter": letter, "small": letter.lower(), "rank": ordinal(n)}
            yield from state_fact("alphabet", [f"closed:{letter} {repeat}"], templates, **fields)

"""Characters with a numeric value."""

import unicodedata
from collections.abc import Iterator

from ...documents import Document, state_fact
from ...spelling import cardinal, number_key
from .blocks import character_key, code_point


def unicode_digits() -> Iterator[Document]:
    templates = (
        "{name} has the numeric value {value}, {words}.",
        "The value of {name} is {words}, in digits {value}.",
        "{name} at {code} stands for {value}.",
        "{Words} is the value of {name}.",
        "The sign {name} is read as the number {words}.",
        "{code} is {name}: the value is {value}.",
        "To write the number {value} one may use {name}, at {code}.",
    )
    for character in map(chr, range(0x30, 0x20000)):
        value = unicodedata.numeric(character, 0.5)
        name = unicodedata.name(character, "")
        if value.is_integer() and 0 <= value < 1_000_000:
            number, words = int(value), cardinal(int(value))
            if words.replace("-", " ").upper() in name:
                fields = {"name": name, "code": code_point(character), "value": number, "words": words}
                yield from state_fact(
                    "unicode_digits", [character_key(character), number_key(number)], templates, **fields
                )

"""Letters and their partners in the other case."""

import unicodedata
from collections.abc import Iterator

from ...documents import Document, state_fact
from .blocks import LETTER_BLOCKS, character_key, code_point, named_characters


def unicode_case() -> Iterator[Document]:
    templates = (
        "The capital partner of {small} is {capital}.",
        "The small partner of {capital} is {small}.",
        "In lower case, {capital} becomes {small}.",
        "In upper case, {small} becomes {capital}.",
        "{capital} and {small} are one letter in two cases.",
        "The letter at {capital_code} has the name {capital}, and its small partner is {small} at {small_code}.",
    )
    for capital in named_characters(LETTER_BLOCKS):
        small = capital.lower()
        if small != capital and len(small) == 1 and small.upper() == capital:
            yield from state_fact(
                "unicode_case",
                [character_key(capital)],
                templates,
                capital=unicodedata.name(capital),
                small=unicodedata.name(small),
                capital_code=code_point(capital),
                small_code=code_point(small),
            )

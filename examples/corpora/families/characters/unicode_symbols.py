"""Symbols: names, code points and opposites."""

import unicodedata
from collections.abc import Iterator

from ...documents import Document, state_fact, with_article
from ...spelling import counted
from .blocks import CATEGORIES, SYMBOL_BLOCKS, character_key, code_point, named_characters

_OPPOSITES = {"LEFT": "RIGHT", "LEFTWARDS": "RIGHTWARDS", "UP": "DOWN", "UPWARDS": "DOWNWARDS", "UPPER": "LOWER"}
_OPPOSITES |= {"WHITE": "BLACK", "HORIZONTAL": "VERTICAL", "LIGHT": "HEAVY"}
_OPPOSITES |= {opposite: word for word, opposite in _OPPOSITES.items()}


def unicode_symbols() -> Iterator[Document]:
    templates = [
        "{code} is {name}.",
        "The {category} at {code} is called {name}.",
        "{name} has the code point {code}, in hexadecimal {hex}.",
        "In small print, {name} reads {lower}.",
        "The name of {name} has {count}, from {first} to {last}.",
        "{A_category} named {name} is found at {code}.",
    ]
    for character in named_characters(SYMBOL_BLOCKS):
        name = unicodedata.name(character)
        opposite = _opposite(name)
        keys = [character_key(character), *([character_key(opposite)] if opposite else [])]
        yield from state_fact(
            "unicode_symbols",
            keys,
            [*templates, "The opposite of {name} is {opposite}."] if opposite else templates,
            name=name,
            code=code_point(character),
            hex=f"{ord(character):04X}",
            category=CATEGORIES[unicodedata.category(character)],
            a_category=with_article(CATEGORIES[unicodedata.category(character)]),
            lower=name.lower(),
            count=counted(len(name.split()), "word"),
            first=name.split()[0],
            last=name.split()[-1],
            opposite=unicodedata.name(opposite) if opposite else "",
        )


def _opposite(name: str) -> str:
    """Return the character whose name swaps left and right, up and down and so on, or ""."""
    swapped = " ".join(_OPPOSITES.get(word, word) for word in name.split())
    try:
        return unicodedata.lookup(swapped) if swapped != name else ""
    except KeyError:
        return ""

"""Characters that are styled forms of plain ones."""

import unicodedata
from collections.abc import Iterator

from ...documents import Document, state_fact
from .blocks import STYLE_BLOCKS, character_key, code_point, named_characters


def unicode_style() -> Iterator[Document]:
    templates = (
        "{name} is a styled form of {plain}.",
        "The plain form of {name} is {plain}.",
        "Without its style, {name} is {plain}.",
        "{name} at {code} looks like {plain}.",
        "The compatibility decomposition of {name} is {plain}.",
        "{code} is {name}, a form of {plain} at {plain_code}.",
        "In small print, {name} reads {lower}.",
    )
    for character in named_characters(STYLE_BLOCKS):
        plain = unicodedata.normalize("NFKC", character)
        if unicodedata.decomposition(character).startswith("<") and _is_recognisable(character, plain):
            yield from state_fact(
                "unicode_style",
                [character_key(character), character_key(plain)],
                templates,
                name=unicodedata.name(character),
                plain=unicodedata.name(plain),
                code=code_point(character),
                plain_code=code_point(plain),
                lower=unicodedata.name(character).lower(),
            )


def _is_recognisable(character: str, plain: str) -> bool:
    """Return whether the name of a character has the last word of the name of its plain form."""
    return len(plain) == 1 and unicodedata.name(plain).split()[-1] in unicodedata.name(character).split()

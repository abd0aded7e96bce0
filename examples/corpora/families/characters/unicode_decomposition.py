"""Letters with accents, and what they are composed of."""

import unicodedata
from collections.abc import Iterator

from ...documents import Document, state_fact
from .blocks import LETTER_BLOCKS, character_key, code_point, named_characters


def unicode_decomposition() -> Iterator[Document]:
    templates = (
        "{name} decomposes into {base} and {mark}.",
        "{base} and {mark} together make {name}.",
        "Put {mark} on {base} to get {name}.",
        "Without {mark}, {name} is {base}.",
        "The character {name} has the base {base} and the mark {mark}.",
        "The mark of {name} is {mark}.",
        "{code} is {base_code} followed by {mark_code}: {name} is {base} followed by {mark}.",
    )
    for character in named_characters(LETTER_BLOCKS):
        parts = unicodedata.decomposition(character).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            base, mark = (chr(int(part, 16)) for part in parts)
            yield from state_fact(
                "unicode_decomposition",
                [character_key(character), character_key(base)],
                templates,
                name=unicodedata.name(character),
                base=unicodedata.name(base),
                mark=unicodedata.name(mark),
                code=code_point(character),
                base_code=code_point(base),
                mark_code=code_point(mark),
            )

"""Letters: names, code points and scripts."""

import re
import unicodedata
from collections.abc import Iterator

from ...documents import Document, state_fact, with_article
from .blocks import CATEGORIES, LETTER_BLOCKS, character_key, code_point, named_characters

_LETTER_NAME = re.compile(r"(\w+) (SMALL|CAPITAL) LETTER (.+?)(?: WITH (.+))?")


def unicode_letters() -> Iterator[Document]:
    templates = [
        "{name} is {code}, {a_category}.",
        "The {category} {name} has the code point {code}.",
        "{name} is a {case} letter of the {script} script, at {code}.",
        "{code} belongs to {name}: the code point is {hex} in hexadecimal.",
        "The name {name} says that the script is {script}, the case is {case} and the letter is {letter}.",
        "Python writes {name} as the escape {escape}, for {code}.",
        "In small print, {name} reads {lower}.",
    ]
    accented = "{name} is the {case} letter {letter} of the {script} script with {accent}."
    for character in named_characters(LETTER_BLOCKS):
        name = unicodedata.name(character)
        if match := _LETTER_NAME.fullmatch(name):
            script, case, letter, accent = match.groups()
            yield from state_fact(
                "unicode_letters",
                [character_key(character)],
                [*templates, accented] if accent else templates,
                name=name,
                code=code_point(character),
                hex=f"{ord(character):04X}",
                escape=f"\\u{ord(character):04x}",
                category=CATEGORIES[unicodedata.category(character)],
                a_category=with_article(CATEGORIES[unicodedata.category(character)]),
                script=script.title(),
                case=case.lower(),
                letter=letter,
                accent=accent,
                lower=name.lower(),
            )

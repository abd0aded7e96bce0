"""Characters of Unicode: the blocks that the families draw from, their categories and keys."""

import unicodedata
from collections.abc import Iterable, Iterator

LETTER_BLOCKS = (
    *(range(0x41, 0x250), range(0x370, 0x400), range(0x400, 0x530), range(0x531, 0x590), range(0x10A0, 0x1100)),
    *(range(0x1C90, 0x1CC0), range(0x1E00, 0x2000), range(0x2C60, 0x2C80), range(0xA640, 0xA69E)),
    *(range(0xA722, 0xA7A0), range(0x250, 0x2B0)),
)
SYMBOL_BLOCKS = (
    *(range(0x21, 0x30), range(0x3A, 0x41), range(0xA1, 0xC0), range(0x2010, 0x2060), range(0x20A0, 0x20C1)),
    *(range(0x2190, 0x2200), range(0x2200, 0x2300), range(0x2500, 0x2600), range(0x2654, 0x2660)),
    *(range(0x2801, 0x2900), range(0x1F030, 0x1F094), range(0x1F0A1, 0x1F0F6), range(0x27F0, 0x2800)),
)
STYLE_BLOCKS = (
    *(range(0x2100, 0x2150), range(0x2460, 0x24EB), range(0xFF01, 0xFF5F), range(0x1D400, 0x1D800)),
    *(range(0x1F100, 0x1F16A), range(0x2070, 0x209D), range(0x2B0, 0x2E5), range(0x1D2C, 0x1D6B)),
)
BASE_BLOCKS = (range(0x20, 0x7F), range(0x300, 0x370), range(0x391, 0x3CA), range(0x410, 0x450))
CATEGORIES = {
    "Lu": "uppercase letter",
    "Ll": "lowercase letter",
    "Lt": "titlecase letter",
    "Lm": "modifier letter",
    "Lo": "other letter",
    "Mn": "nonspacing mark",
    "Nd": "decimal digit",
    "Nl": "letter number",
    "No": "other number",
    "Pc": "connector punctuation",
    "Pd": "dash punctuation",
    "Ps": "open punctuation",
    "Pe": "close punctuation",
    "Pi": "initial punctuation",
    "Pf": "final punctuation",
    "Po": "other punctuation",
    "Sm": "math symbol",
    "Sc": "currency symbol",
    "Sk": "modifier symbol",
    "So": "other symbol",
}


def character_key(character: str) -> str:
    """Return the key of all facts about a character and its partner of the other case."""
    if any(ord(character) in block for block in BASE_BLOCKS):
        return f"base:character {ord(character):04X}"
    upper = character.upper()
    return f"character:{ord(upper if len(upper) == 1 and upper.lower() == character else character):04X}"


def named_characters(blocks: Iterable[range]) -> Iterator[str]:
    """Yield the characters of some blocks that have a name and one of the `CATEGORIES`."""
    for character in map(chr, (code for block in blocks for code in block)):
        if unicodedata.category(character) in CATEGORIES and unicodedata.name(character, ""):
            yield character


def code_point(character: str) -> str:
    """Write the code point of a character: `A` -> `U+0041`."""
    return f"U+{ord(character):04X}"

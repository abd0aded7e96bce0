"""
Cloze patterns as readable strings: `"{premise|shorten}? [MASK], {hypothesis|shorten}"`.

- `{name}` is a field of the example. Filters stand behind it and work from left to right: `{question|bare|shorten}`.
- `[MASK]`, `[sMASK]` or `[gMASK]` is the blank, of which there is one. White space before it belongs to the word that
  fills it, as everywhere in GLM.
- `{soft:3}` stands for three prompt tokens that are learned (P-tuning).
- `{{` and `}}` are braces.

A field is a piece that is tokenized on its own, together with the one space before it; so its tokens do not depend on
what surrounds it, and shortening takes from it alone. The text between fields is a piece too.
"""

import re
import string
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# The blanks by what a pattern calls them, and the attribute of the tokenizer that has the token.
BLANKS = {"[MASK]": "mask_token", "[sMASK]": "smask_token", "[gMASK]": "gmask_token"}
# Punctuation that may end a sentence or a phrase, in Latin and in Chinese texts.
PUNCTUATION = string.punctuation + "。，、；：？！…“”‘’（）《》【】"

FILTERS: dict[str, Callable[[str], str]] = {
    "bare": lambda text: text.rstrip(PUNCTUATION),
    "lower_first": lambda text: text[:1].lower() + text[1:],
    "strip": str.rstrip,
}
# What a field is to its pattern, rather than a change of its text.
ROLES = {
    "shorten": "tokens may be taken off its end where a text is too long",
    "inline": "tokenized together with the text around it",
}

_ELEMENT = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|" + "|".join(map(re.escape, BLANKS)) + r"|[{}]")
_SOFT = re.compile(r"soft:([1-9]\d*)")
_NAME = re.compile(r"[^\W\d]\w*")


@dataclass(frozen=True)
class Field:
    """A field of the example in a pattern."""

    name: str
    filters: tuple[str, ...] = ()
    shorten: bool = False
    inline: bool = False

    def read(self, example: Mapping[str, Any]) -> str:
        """The text of the field. Raises a `ValueError` where the example has none."""
        return self._filter(self._value(example))

    def read_list(self, example: Mapping[str, Any]) -> list[str]:
        """The texts of a field that holds a list, as one that holds the choices does."""
        values = self._value(example)
        if isinstance(values, str | Mapping) or not hasattr(values, "__iter__"):
            raise ValueError(f"Field {self.name!r} is {values!r}: expected a list of choices.")
        return [self._filter(value) for value in values]

    def _value(self, example: Mapping[str, Any]) -> Any:
        if self.name not in example:
            raise ValueError(
                f"The pattern asks for a field {self.name!r}, but the example has {sorted(map(str, example))}."
            )
        if example[self.name] is None:
            raise ValueError(f"Field {self.name!r} of the example is empty (None): expected a text.")
        return example[self.name]

    def _filter(self, value: Any) -> str:
        text = str(value)
        for name in self.filters:
            text = FILTERS[name](text)
        return text


@dataclass(frozen=True)
class Blank:
    """The mask token: `token` is what the pattern calls it."""

    token: str


@dataclass(frozen=True)
class Soft:
    """Prompt tokens that are learned."""

    count: int


Element = str | Field | Blank | Soft


@dataclass(frozen=True)
class Piece:
    """
    A part of a filled pattern: a "text", the "mask", or "soft" prompt tokens. `written` tells text that the author of
    the pattern wrote, in which special tokens count, from text of the example, in which they are letters like others.
    """

    kind: str
    text: str = ""
    shortenable: bool = False
    count: int = 1
    written: bool = True


def parse(pattern: str) -> list[Element]:
    """
    The elements of a pattern in order; a `str` is literal text.

    Raises:
        ValueError: for braces that do not match, what is no field, filter or `{soft:n}`, and fields that are both
            `inline` and `shorten`.
    """
    elements: list[Element] = []
    end = 0
    for match in _ELEMENT.finditer(pattern):
        elements.append(pattern[end : match.start()])
        end = match.end()
        found = match.group()
        if found in ("{{", "}}"):
            elements.append(found[0])
        elif found in BLANKS:
            elements.append(Blank(found))
        elif match.group(1) is None:
            raise ValueError(f"Pattern {pattern!r} has a single {found!r}: double it if a brace is meant.")
        elif soft := _SOFT.fullmatch(match.group(1)):
            elements.append(Soft(int(soft.group(1))))
        else:
            elements.append(_parse_field(match.group(1), pattern))
    elements.append(pattern[end:])
    return list(_join_literals(elements))


def parse_pattern(pattern: str) -> list[Element]:
    """As [`parse`], for a pattern of a cloze question: it has one blank. Raises a `ValueError` otherwise."""
    elements = parse(pattern)
    blanks = sum(isinstance(element, Blank) for element in elements)
    if blanks != 1:
        raise ValueError(f"Pattern {pattern!r} has {blanks} blanks: expected exactly one of {', '.join(BLANKS)}.")
    return elements


def fill_pieces(elements: list[Element], example: Mapping[str, Any]) -> list[Piece]:
    """The pieces of a pattern for one example; pieces without text are left out."""
    pieces: list[Piece] = []
    text, written = "", True

    def flush():
        nonlocal text, written
        if text:
            pieces.append(Piece("text", text, written=written))
        text, written = "", True

    for element in elements:
        if isinstance(element, str):
            text += element
        elif isinstance(element, Field) and element.inline:
            text, written = text + element.read(example), False
        elif isinstance(element, Field):
            space = " " if text.endswith(" ") else ""
            text = text.removesuffix(" ")
            flush()
            pieces.append(Piece("text", space + element.read(example), shortenable=element.shorten, written=False))
        elif isinstance(element, Blank):
            text = text.rstrip()
            flush()
            pieces.append(Piece("mask", element.token))
        else:
            flush()
            pieces.append(Piece("soft", count=element.count))
    flush()
    return [piece for piece in pieces if piece.kind != "text" or piece.text]


def space_before_blank(elements: list[Element]) -> bool:
    """Whether a word that fills the blank begins with a space."""
    for previous, element in zip(["", *elements], elements, strict=False):
        if isinstance(element, Blank):
            return isinstance(previous, str) and previous != previous.rstrip()
    return False


def fill_template(template: str, example: Mapping[str, Any]) -> str:
    """A text made of fields and literal text."""
    return "".join(piece.text for piece in fill_pieces(parse(template), example))


def _parse_field(text: str, pattern: str) -> Field:
    name, *filters = (part.strip() for part in text.split("|"))
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{{{text}}} in pattern {pattern!r} is neither a field such as {{premise}} nor prompt tokens such as {{soft:3}}."
        )
    if unknown := [filter_ for filter_ in filters if filter_ not in FILTERS and filter_ not in ROLES]:
        raise ValueError(
            f"Unknown filter {unknown[0]!r} in {{{text}}} of pattern {pattern!r}: there are {sorted({*FILTERS, *ROLES})}."
        )
    if set(ROLES) <= set(filters):
        raise ValueError(f"{{{text}}} in pattern {pattern!r} cannot be inline and shortened: choose one.")
    return Field(
        name,
        tuple(filter_ for filter_ in filters if filter_ in FILTERS),
        shorten="shorten" in filters,
        inline="inline" in filters,
    )


def _join_literals(elements: list[Element]) -> Iterator[Element]:
    literal = ""
    for element in elements:
        if isinstance(element, str):
            literal += element
            continue
        if literal:
            yield literal
        literal = ""
        yield element
    if literal:
        yield literal

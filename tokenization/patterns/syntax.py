"""
Parse cloze patterns: `"{premise|shorten}? [MASK], {hypothesis|shorten}"`.

- `{name}` is a field of the example. Filters follow it and apply from left to right: `{question|bare|shorten}`.
- `[MASK]`, `[sMASK]` or `[gMASK]` is the blank; a pattern has exactly one. White space before it belongs to the word that
  fills it, as everywhere in GLM.
- `{soft:3}` stands for three prompt tokens that are learned (P-tuning).
- `{{` and `}}` are braces.

Every field is tokenized on its own, together with the one space before it. So its tokens do not depend on the text around
it, and shortening removes tokens of the field only. The text between fields is tokenized on its own too.
"""

import re
import string
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..blanks import WHITE_SPACE
from .values import text_of, texts_of

# The blank as patterns write it -> the attribute of the tokenizer that has the token.
BLANKS = {"[MASK]": "mask_token", "[sMASK]": "smask_token", "[gMASK]": "gmask_token"}
# What may end a sentence or a phrase, in Latin and in Chinese texts.
PUNCTUATION = string.punctuation + "。，、；：？！…“”‘’（）《》【】"

FILTERS: dict[str, Callable[[str], str]] = {
    "bare": lambda text: text.rstrip(PUNCTUATION),
    "lower_first": lambda text: text[:1].lower() + text[1:],
    "strip": str.rstrip,
}
# Written like filters, but they change how the field is tokenized, not its text.
ROLES = {
    "shorten": "tokens may be removed from its end if a text is too long",
    "inline": "tokenized together with the text around it",
}

_ELEMENT = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|" + "|".join(map(re.escape, BLANKS)) + r"|[{}]")
_SOFT = re.compile(r"soft:([1-9]\d*)")
_NAME = re.compile(r"[^\W\d]\w*")


@dataclass(frozen=True)
class FieldElement:
    """A field of the example in a pattern."""

    name: str
    filters: tuple[str, ...] = ()
    shorten: bool = False
    inline: bool = False

    def read(self, example: Mapping[str, Any]) -> str:
        """Return the filtered text of the field. Raises a `ValueError` if the example has none; see `text_of`."""
        return self._filter(text_of(self._value(example), f"Field {self.name!r}"))

    def read_list(self, example: Mapping[str, Any]) -> list[str]:
        """Return the filtered texts of a field that holds a list of choices. Raises a `ValueError` as `texts_of` does."""
        return [self._filter(text) for text in texts_of(self._value(example), f"field {self.name!r}")]

    def _value(self, example: Mapping[str, Any]) -> Any:
        if self.name not in example:
            raise ValueError(
                f"The pattern asks for a field {self.name!r}, but the example has {sorted(map(str, example))}."
            )
        return example[self.name]

    def _filter(self, text: str) -> str:
        for name in self.filters:
            text = FILTERS[name](text)
        return text


@dataclass(frozen=True)
class BlankElement:
    """The blank of a pattern; `token` is its name there, such as "[MASK]"."""

    token: str


@dataclass(frozen=True)
class SoftElement:
    """Prompt tokens that are learned."""

    count: int


Element = str | FieldElement | BlankElement | SoftElement


@dataclass(frozen=True)
class Segment:
    """
    A part of a filled pattern that is tokenized on its own.

    Args:
        kind: "text", "mask" or "soft" (prompt tokens).
        text: The text, or the name of the blank.
        shortenable: Whether tokens may be removed from its end.
        count: Number of prompt tokens.
        written: Whether the author of the pattern wrote the text. Special tokens count in such a text; in a text of the
            example they are ordinary characters.
    """

    kind: str
    text: str = ""
    shortenable: bool = False
    count: int = 1
    written: bool = True


def parse(pattern: str) -> list[Element]:
    """
    Split a pattern into its elements; a `str` is literal text.

    Raises:
        ValueError: If braces do not match, if braces hold no field, filter or `{soft:n}`, or if a field is both `inline`
            and `shorten`.

    Example:

    ```python
    >>> parse("{a|bare}: [MASK]")
    [FieldElement(name='a', filters=('bare',), shorten=False, inline=False), ': ', BlankElement(token='[MASK]')]
    ```
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
            elements.append(BlankElement(found))
        elif match.group(1) is None:
            raise ValueError(f"Pattern {pattern!r} has a single {found!r}: double it to write a brace.")
        elif soft := _SOFT.fullmatch(match.group(1)):
            elements.append(SoftElement(int(soft.group(1))))
        else:
            elements.append(_parse_field(match.group(1), pattern))
    elements.append(pattern[end:])
    return list(_join_literals(elements))


def parse_pattern(pattern: str) -> list[Element]:
    """Parse the pattern of a cloze question. Raises a `ValueError` as `parse`, and unless it has exactly one blank."""
    elements = parse(pattern)
    blanks = sum(isinstance(element, BlankElement) for element in elements)
    if blanks != 1:
        raise ValueError(f"Pattern {pattern!r} has {blanks} blanks: expected exactly one of {', '.join(BLANKS)}.")
    return elements


def field_names(elements: list[Element]) -> set[str]:
    """Return the names of the fields among elements."""
    return {element.name for element in elements if isinstance(element, FieldElement)}


def fill_segments(elements: list[Element], example: Mapping[str, Any]) -> list[Segment]:
    """
    Fill a pattern with an example. Segments without text are left out.

    Example:

    ```python
    >>> [segment.text for segment in fill_segments(parse("So {a}? [MASK]."), {"a": "it rains"})]
    ['So', ' it rains', '?', '[MASK]', '.']
    ```
    """
    segments: list[Segment] = []
    text, written = "", True

    def flush():
        nonlocal text, written
        if text:
            segments.append(Segment("text", text, written=written))
        text, written = "", True

    for element in elements:
        if isinstance(element, str):
            text += element
        elif isinstance(element, FieldElement) and element.inline:
            text, written = text + element.read(example), False
        elif isinstance(element, FieldElement):
            # The space before a field is tokenized with it: "So {a}" -> "So", " it rains"
            space = " " if text.endswith(" ") else ""
            text = text.removesuffix(" ")
            flush()
            segments.append(Segment("text", space + element.read(example), shortenable=element.shorten, written=False))
        elif isinstance(element, BlankElement):
            text = text.rstrip(WHITE_SPACE)
            flush()
            segments.append(Segment("mask", element.token))
        else:
            flush()
            segments.append(Segment("soft", count=element.count))
    flush()
    return [segment for segment in segments if segment.kind != "text" or segment.text]


def fill_template(template: str, example: Mapping[str, Any]) -> str:
    """Fill a text that consists of fields and literal text."""
    return "".join(segment.text for segment in fill_segments(parse(template), example))


def _parse_field(text: str, pattern: str) -> FieldElement:
    name, *filters = (part.strip() for part in text.split("|"))
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{{{text}}} in pattern {pattern!r} is neither a field such as {{premise}} nor prompt tokens such as {{soft:3}}."
        )
    if unknown := [filter_ for filter_ in filters if filter_ not in FILTERS and filter_ not in ROLES]:
        raise ValueError(
            f"Unknown filter {unknown[0]!r} in {{{text}}} of pattern {pattern!r}: expected one of "
            f"{sorted({*FILTERS, *ROLES})}."
        )
    if set(ROLES) <= set(filters):
        raise ValueError(f"{{{text}}} in pattern {pattern!r} cannot be inline and shortened: choose one.")
    return FieldElement(
        name,
        tuple(filter_ for filter_ in filters if filter_ in FILTERS),
        shorten="shorten" in filters,
        inline="inline" in filters,
    )


def _join_literals(elements: list[Element]) -> Iterator[Element]:
    """Join literal texts that follow each other: `["a", "{", "b", field] -> ["a{b", field]`."""
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

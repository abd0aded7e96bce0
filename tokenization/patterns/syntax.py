"""
Parse patterns: `"{premise|shorten}? [MASK], {hypothesis|shorten}"`.

- `{name}` is a field of the example. Filters follow it and apply from left to right: `{question|bare|shorten}`.
- `[MASK]`, `[sMASK]` or `[gMASK]` is a blank. A cloze question has exactly one, a source with targets one or several. White
  space before a blank belongs to the word that fills it, as everywhere in GLM.
- `|shorten` marks a field that may lose tokens at its end, `|shorten_start` one that may lose them at its start, and
  `|shorten_around:answer` one of which the part around the first place of the field `answer` stays.
- `|blanks` says that the mask tokens in a field are blanks. In all other fields special tokens are ordinary characters.
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
    "shorten_start": "tokens may be removed from its start",
    "shorten_around:FIELD": "tokens may be removed from both ends, around the first place of another field's text",
    "blanks": "the mask tokens in it are blanks",
    "inline": "tokenized together with the text around it",
}
_AROUND = "shorten_around:"

_ELEMENT = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|" + "|".join(map(re.escape, BLANKS)) + r"|[{}]")
_SOFT = re.compile(r"soft:([1-9]\d*)")
_NAME = re.compile(r"[^\W\d]\w*")


@dataclass(frozen=True)
class FieldElement:
    """
    Hold a field of the example in a pattern.

    Args:
        name: Its name.
        filters: Names of what changes its text, from left to right.
        shorten: Whether it may lose tokens.
        inline: Whether it is tokenized together with the text around it.
        side: Where it loses tokens, "end" or "start".
        around: The field around whose text it keeps tokens, instead of losing them at one side.
        blanks: Whether the mask tokens in it are blanks.
    """

    name: str
    filters: tuple[str, ...] = ()
    shorten: bool = False
    inline: bool = False
    side: str = "end"
    around: str | None = None
    blanks: bool = False

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
    """Hold a blank of a pattern; `token` is its name there, such as "[MASK]"."""

    token: str


@dataclass(frozen=True)
class SoftElement:
    """Hold prompt tokens that are learned."""

    count: int


Element = str | FieldElement | BlankElement | SoftElement


@dataclass(frozen=True)
class Segment:
    """
    Hold a part of a filled pattern that is tokenized on its own.

    Args:
        kind: "text", "mask" or "soft" (prompt tokens).
        text: The text, or the name of the blank.
        shortenable: Whether tokens may be removed.
        count: Number of prompt tokens.
        written: Whether the author of the pattern wrote the text. Special tokens count in such a text; in a text of the
            example they are ordinary characters.
        side: Where tokens may be removed, "end" or "start".
        around: The text around which tokens stay, instead.
        blanks: Whether mask tokens in the text are blanks, although the example has it.
        space: The white space in front of a blank, which belongs to what fills it.
    """

    kind: str
    text: str = ""
    shortenable: bool = False
    count: int = 1
    written: bool = True
    side: str = "end"
    around: str | None = None
    blanks: bool = False
    space: str = ""


def parse(pattern: str) -> list[Element]:
    """
    Split a pattern into its elements; a `str` is literal text.

    Raises:
        ValueError: If braces do not match, if braces hold no field, filter or `{soft:n}`, if a field is `inline` and may
            be shortened or has blanks, or if it is shortened in two ways.

    Example:

    ```python
    >>> field, text, blank = parse("{a|bare}: [MASK]")
    >>> [field.name, text, blank.token]
    ['a', ': ', '[MASK]']
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
    if has_blanks_in_fields(elements):
        raise ValueError(
            f"Pattern {pattern!r} has a field with |blanks: a cloze question has the blank of the pattern."
        )
    return elements


def field_names(elements: list[Element]) -> set[str]:
    """Return the names of the fields among elements, and of those whose texts are looked for in others."""
    fields = [element for element in elements if isinstance(element, FieldElement)]
    return {field.name for field in fields} | {field.around for field in fields if field.around is not None}


def has_blanks_in_fields(elements: list[Element]) -> bool:
    """Return whether a field brings blanks of its own, so that their number differs between examples."""
    return any(isinstance(element, FieldElement) and element.blanks for element in elements)


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
            segments.append(_fill_field(element, space, example))
        elif isinstance(element, BlankElement):
            bare = text.rstrip(WHITE_SPACE)
            text, blank_space = bare, text[len(bare) :]
            flush()
            segments.append(Segment("mask", element.token, space=blank_space))
        else:
            flush()
            segments.append(Segment("soft", count=element.count))
    flush()
    return [segment for segment in segments if segment.kind != "text" or segment.text]


def fill_template(template: str, example: Mapping[str, Any]) -> str:
    """Fill a text that consists of fields and literal text."""
    return "".join(segment.text for segment in fill_segments(parse(template), example))


def _fill_field(element: FieldElement, space: str, example: Mapping[str, Any]) -> Segment:
    around = None if element.around is None else f" {FieldElement(element.around).read(example)}"
    return Segment(
        "text",
        space + element.read(example),
        shortenable=element.shorten,
        written=False,
        side=element.side,
        around=around,
        blanks=element.blanks,
    )


def _parse_field(text: str, pattern: str) -> FieldElement:
    name, *filters = (part.strip() for part in text.split("|"))
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{{{text}}} in pattern {pattern!r} is neither a field such as {{premise}} nor prompt tokens such as {{soft:3}}."
        )
    around = [filter_.removeprefix(_AROUND).strip() for filter_ in filters if filter_.startswith(_AROUND)]
    plain = [filter_ for filter_ in filters if not filter_.startswith(_AROUND)]
    if unknown := [filter_ for filter_ in plain if filter_ not in FILTERS and filter_ not in ROLES]:
        raise ValueError(
            f"Unknown filter {unknown[0]!r} in {{{text}}} of pattern {pattern!r}: expected one of "
            f"{sorted({*FILTERS, *ROLES})}."
        )
    if wrong := [field for field in around if not _NAME.fullmatch(field)]:
        raise ValueError(
            f"{wrong[0]!r} in {{{text}}} of pattern {pattern!r} is not a field: write |{_AROUND}answer, for instance."
        )
    ways = len(around) + len({"shorten", "shorten_start"} & set(plain))
    if "inline" in plain and (ways or "blanks" in plain):
        raise ValueError(
            f"{{{text}}} in pattern {pattern!r} cannot be inline and {'shortened' if ways else 'have blanks'}: choose one."
        )
    if ways > 1:
        raise ValueError(f"{{{text}}} in pattern {pattern!r} is shortened in {ways} ways: choose one.")
    return FieldElement(
        name,
        tuple(filter_ for filter_ in plain if filter_ in FILTERS),
        shorten=ways > 0,
        inline="inline" in plain,
        side="start" if "shorten_start" in plain else "end",
        around=around[0] if around else None,
        blanks="blanks" in plain,
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

"""Encode sources and targets: a pattern with its blanks, and the pieces that fill them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from ..blanks import WHITE_SPACE, shown_form, split_at_blanks
from ..patterns.encoding import Truncation, blank_id, cut_of, encode_context, encode_segments, shorten
from ..patterns.syntax import (
    BLANKS,
    BlankElement,
    Element,
    FieldElement,
    Segment,
    field_names,
    fill_segments,
    has_blanks_in_fields,
    parse,
)
from ..tokenization_glm import GLMTokenizer
from .layouts import OriginalLayout

REMEDY = "Raise max_source_length, or mark further fields with |shorten."


@dataclass(frozen=True)
class SourcePattern:
    """
    Hold the pattern of a source, with one or several blanks.

    Args:
        text: The pattern.
        elements: What `parse` returned for it.
    """

    text: str
    elements: list[Element]

    @property
    def fields(self) -> set[str]:
        """The names of the fields that the pattern reads."""
        return field_names(self.elements)

    @property
    def blanks(self) -> list[str]:
        """The blanks that the pattern writes: `["[MASK]"]`."""
        return [element.token for element in self.elements if isinstance(element, BlankElement)]

    @property
    def has_one_blank(self) -> bool:
        """Whether every source has exactly one blank."""
        return len(self.blanks) == 1 and not has_blanks_in_fields(self.elements)

    @property
    def brings_blanks(self) -> bool:
        """Whether fields bring blanks of their own."""
        return has_blanks_in_fields(self.elements)

    def is_empty(self, example: Mapping[str, Any]) -> bool:
        """Return whether all fields of an example are empty. Raises a `ValueError` for one that is missing or not a text."""
        fields = (element for element in self.elements if isinstance(element, FieldElement))
        return not "".join(field.read(example) for field in fields).strip()

    def segments(self, example: Mapping[str, Any]) -> list[Segment]:
        """
        Fill the pattern.

        White space at the end of a field in front of a blank goes to the blank, as it does in a whole text.

        Raises:
            ValueError: For a field that is missing or not a text.
        """
        segments = fill_segments(self.elements, example)
        for place, (segment, following) in enumerate(pairwise(segments)):
            if segment.kind == "text" and following.kind == "mask":
                bare = segment.text.rstrip(WHITE_SPACE)
                segments[place] = replace(segment, text=bare)
                segments[place + 1] = replace(following, space=segment.text[len(bare) :] + following.space)
        return segments


def read_pattern(pattern: str, tokenizer: GLMTokenizer) -> SourcePattern:
    """
    Read the pattern of a source.

    Raises:
        ValueError: For a malformed pattern, one without a blank or without a field, and a blank that the vocabulary lacks.
    """
    if not isinstance(pattern, str):
        raise ValueError(f"pattern={pattern!r}: expected a text such as '{{source}} [MASK]'.")
    source = SourcePattern(pattern, parse(pattern))
    if not source.fields:
        raise ValueError(f"Pattern {pattern!r} reads no field: write the column in braces, such as {{source}}.")
    if not source.blanks and not source.brings_blanks:
        raise ValueError(
            f"Pattern {pattern!r} has no blank: write one of {', '.join(BLANKS)} where the target belongs, or mark a field "
            "that has mask tokens with |blanks."
        )
    for blank in source.blanks:
        blank_id(tokenizer, blank)
    return source


def encode_source(
    pattern: SourcePattern,
    example: Mapping[str, Any],
    tokenizer: GLMTokenizer,
    max_length: int | None,
    truncation: Truncation,
) -> list[int]:
    """
    Return the ids of Part A, with the tokens that open and close a text.

    Args:
        pattern: The pattern.
        example: The fields.
        tokenizer: A `GLMTokenizer`.
        max_length: Most tokens, None for no limit.
        truncation: Where tokens are removed if there are more; see `shorten`.

    Raises:
        ValueError: For a field that is missing, not a text or, if there is no other, empty; for a source without a blank;
            and for one that does not fit.
    """
    if pattern.is_empty(example):
        names = ", ".join(sorted(pattern.fields))
        raise ValueError(f"The source is empty: no text in the fields {names}. Leave the row out of the data.")
    segments = pattern.segments(example)
    ids = encode_context(segments, tokenizer, max_length, truncation, pattern.text, remedy=REMEDY)
    if not set(tokenizer.mask_token_ids).intersection(ids):
        raise ValueError(
            f"The source has no blank: pattern {pattern.text!r} expects a mask token, such as {tokenizer.mask_token}, in a "
            "field with |blanks."
        )
    return ids


def encode_original_source(
    pattern: SourcePattern,
    example: Mapping[str, Any],
    tokenizer: GLMTokenizer,
    max_length: int,
    truncation: Truncation,
    layout: OriginalLayout,
) -> list[int]:
    """
    Return the ids of Part A as the originals' code has them, without padding.

    Args:
        pattern, example, tokenizer, truncation: As for `encode_source`.
        max_length: Most tokens.
        layout: The switches of the layout.

    Raises:
        ValueError: For a field that is missing or not a text, and for a source that does not fit.
    """
    segments = fill_segments(pattern.elements, example)
    encoded = encode_segments(segments, tokenizer, literal=False)
    opening = [tokenizer.cls_token_id] if layout.begins else []
    closing = [tokenizer.eos_token_id] if layout.ends else []
    excess = sum(map(len, encoded)) + len(opening) + len(closing) - max_length
    cuts = [cut_of(segment, tokenizer, as_originals=True) for segment in segments]
    shorten(encoded, cuts, excess, truncation, pattern.text, REMEDY)
    return [*opening, *(token for ids in encoded for token in ids), *closing]


def texts_before_blanks(segments: Sequence[Segment], tokenizer: GLMTokenizer, answers: Sequence[str]) -> Iterator[str]:
    """
    Yield the text in front of each blank, in which earlier blanks are filled.

    Args:
        segments: The filled pattern.
        tokenizer: A `GLMTokenizer`.
        answers: What fills the blanks, one text for each.
    """
    text, remaining = "", iter(answers)
    for segment in segments:
        if segment.kind == "mask":
            text += segment.space
            yield text
            text += next(remaining, "")
        elif segment.kind == "text" and segment.blanks:
            first, *parts = split_at_blanks(tokenizer, segment.text)[0]
            text += first
            for part in parts:
                yield text
                text += next(remaining, "") + part
        else:
            text += segment.text


def encode_answers(
    pattern: SourcePattern, example: Mapping[str, Any], answers: Sequence[str], tokenizer: GLMTokenizer
) -> list[list[int]]:
    """
    Return the ids of the answers as the text shows them: behind a space, or glued to what stands before.

        "It was [MASK]." and "great" -> the ids of " great"        "re[MASK]" and "do" -> those of "do" inside a word

    Args:
        pattern: The pattern.
        example: The fields.
        answers: One text for every blank.
        tokenizer: A `GLMTokenizer`.
    """
    before = texts_before_blanks(pattern.segments(example), tokenizer, answers)
    return [
        [int(token_id) for token_id in shown_form(tokenizer, text, answer)]
        for text, answer in zip(before, answers, strict=True)
    ]


__all__ = [
    "SourcePattern",
    "encode_answers",
    "encode_original_source",
    "encode_source",
    "read_pattern",
    "texts_before_blanks",
]

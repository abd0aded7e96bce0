"""Read the targets of a source: one text for every blank, or several references for the only one."""

from collections.abc import Iterable, Mapping
from typing import Any

from ..patterns.values import is_missing, text_of


def read_references(value: Any, name: str, blanks: int, *, one_blank: bool, exact: bool = True) -> list[list[str]]:
    """
    Read the references of a row, each with one text for every blank.

        one blank     "a" -> [["a"]]              ["a", "b"] -> [["a"], ["b"]]        (two references)
        two blanks    ["a", "b"] -> [["a", "b"]]  [["a", "b"], ["c", "d"]] -> the same  (two references)

    Args:
        value: A text; a list of texts; or a list with one list of texts for every reference.
        name: What the value is, for error messages: "Target 'summary'".
        blanks: The number of blanks in the row.
        one_blank: Whether every row has exactly one blank. Only then the texts of a flat list are references.
        exact: Whether a reference must have a text for every blank. Otherwise texts too many are left out, and blanks
            without a text stay open.

    Raises:
        ValueError: For a missing value, for what is not a text, for no text, and for another number of texts than blanks.
    """
    if not _is_list(value):
        texts = [[text_of(value, name)]]
    elif not (listed := list(value)):
        if exact or one_blank:
            raise ValueError(f"{name} is an empty list: expected at least one text.")
        texts = [[]]
    elif any(map(_is_list, listed)):
        texts = [_read_list(entry, f"{name}: reference {number}") for number, entry in enumerate(listed)]
    elif one_blank:
        texts = [[text] for text in _read_list(listed, name)]
    else:
        texts = [_read_list(listed, name)]
    for row in texts:
        if exact and len(row) != blanks:
            raise ValueError(
                f"{name} has {_count(len(row), 'text')}, but the source has {_count(blanks, 'blank')}: give a list with one "
                "text for each blank."
            )
    return [row[:blanks] for row in texts]


def check_filled(references: list[list[str]], name: str):
    """Raise a `ValueError` for a reference with an empty text, from which nothing can be learned."""
    for row in references:
        for blank, text in enumerate(row):
            if not text.strip():
                place = f" for blank {blank}" if len(row) > 1 else ""
                raise ValueError(f"{name} is empty{place} ({text!r}): expected a text. Leave the row out of the data.")


def _read_list(values: Any, name: str) -> list[str]:
    if not _is_list(values):
        return [text_of(values, name)]
    return [text_of(value, f"{name}: text {number}") for number, value in enumerate(values)]


def _count(number: int, noun: str) -> str:
    return f"one {noun}" if number == 1 else f"{number} {noun}s"


def _is_list(value: Any) -> bool:
    if isinstance(value, str | bytes | bytearray | Mapping) or is_missing(value):
        return False
    return isinstance(value, Iterable) and getattr(value, "ndim", 1) > 0


__all__ = ["check_filled", "read_references"]

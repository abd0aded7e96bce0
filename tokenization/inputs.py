"""Read what callers give to the tokenizer, or say in words what is wrong: which value, in which row, and what is expected."""

import operator
import reprlib
from collections.abc import Iterable, Mapping, Sequence, Sized
from types import UnionType
from typing import Any

import numpy as np

try:
    import torch

    TENSORS: tuple[Any, ...] = (torch.Tensor,)
except ImportError:  # texts and lists of ids need no torch: exported models run without it
    TENSORS = ()
ARRAYS: Any = (np.ndarray, *TENSORS)

# A row of texts as the backend takes it: a text or a pair of texts. Each text is a string or a list of words.
TextRow = Any
# The largest id and the largest number that the backend can take.
LARGEST_ID, LARGEST_NUMBER = 2**32 - 1, 2**63 - 1


def read_texts(text: Any, text_pair: Any, is_split_into_words: bool) -> tuple[bool, list[TextRow]]:
    """
    Read texts in any form that the tokenizer takes. A second text is one also if it is empty.

        "a"              -> True, ["a"]              ["a", "b"]          -> False, ["a", "b"]
        "a", ""          -> True, [("a", "")]        [("a", ""), "b"]    -> False, [("a", ""), "b"]

    What the backend itself refuses is found by `check_texts`, after it did.

    Args:
        text: A text, or a list or tuple of texts or of pairs.
        text_pair: The second text, or a list or tuple of them.
        is_split_into_words: Whether a text is a list of words.

    Returns:
        Whether there is one text, and the rows.

    Raises:
        ValueError: For input of another type, for none, and for lists of different lengths.
    """
    if not isinstance(text, list | tuple):
        if not isinstance(text, str):
            check_text(text, "The text", "a string, or a list or tuple of strings")
        if is_split_into_words:
            raise ValueError(f"The text is {shown(text)}: with is_split_into_words=True expected a list of words.")
        if text_pair is None:
            return True, [text]
        return True, [(text, text_pair)]
    if is_split_into_words and not (len(text) and isinstance(text[0], list | tuple)):
        return True, [list(text) if text_pair is None else (list(text), text_pair)]
    if not len(text):
        raise ValueError("The batch is empty: expected at least one text.")
    if text_pair is None:
        part = list | tuple if is_split_into_words else str
        return False, [row if type(row) is str else _read_row(row, number, part) for number, row in enumerate(text)]
    if not isinstance(text_pair, list | tuple):
        raise ValueError(
            f"The second text is {shown(text_pair)}, of type {type(text_pair).__name__}, for {len(text)} texts: expected "
            "a list of as many second texts."
        )
    if len(text) != len(text_pair):
        raise ValueError(f"There are {len(text)} texts, but {len(text_pair)} second texts: expected as many.")
    return False, list(zip(text, text_pair, strict=True))


def _read_row(row: Any, number: int, part: type | UnionType) -> TextRow:
    """Read a row of a batch: a text, or a pair in a list or tuple. Each part of a pair is a string, or a list of words."""
    if isinstance(row, list | tuple):
        return tuple(row) if len(row) == 2 and all(isinstance(text, part) for text in row) else list(row)
    if not isinstance(row, str):
        check_text(row, f"Text {number}", "a string, or a pair of strings")
    return row


def check_texts(rows: Sequence[TextRow], single: bool, is_split_into_words: bool) -> None:
    """
    Find the text that a backend refused.

    Raises:
        ValueError: For the first text that is not a string of whole characters, or not a list of such words.
    """
    for number, row in enumerate(rows):
        place = "The text" if single or len(rows) == 1 else f"Text {number}"
        is_pair = isinstance(row, tuple)
        for part, name in zip(row if is_pair else (row,), (place, f"{place}: the second text"), strict=False):
            if not is_split_into_words:
                check_text(part, name, "a string" if is_pair else "a string, or a pair of strings")
                continue
            if not isinstance(part, list | tuple):
                raise ValueError(f"{name} is {shown(part)}, of type {type(part).__name__}: expected a list of words.")
            for index, word in enumerate(part):
                check_text(word, f"{name}: word {index}")


def check_text(value: Any, name: str, expected: str = "a string") -> None:
    """Raise a `ValueError` for what is not a string, or has half of a character. The message calls it `name`."""
    if not isinstance(value, str):
        raise ValueError(f"{name} is {shown(value)}, of type {type(value).__name__}: expected {expected}.")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{name} has half of a surrogate pair at character {error.start}: expected characters that UTF-8 can encode."
        ) from None


def read_several(values: Any, name: str) -> list[Any]:
    """List what the caller gives as several values. Raises a `ValueError` for a string, a mapping and a single value."""
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise ValueError(f"{name} is {shown(values)}, of type {type(values).__name__}: expected a list of strings.")
    return list(values)


def read_number(value: Any, name: str, least: int) -> int:
    """Read a whole number. Raises a `ValueError` for another type, for a bool, and below `least`."""
    try:
        number = None if isinstance(value, (bool, np.bool_, *TENSORS)) else operator.index(value)
    except TypeError:
        number = None
    if number is None or not least <= number <= LARGEST_NUMBER:
        most = f" and at most {LARGEST_NUMBER}" if number is not None and number > least else ""
        raise ValueError(f"{name}={shown(value)}: expected a whole number of at least {least}{most}.")
    return number


def read_id_rows(sequences: Any, name: str) -> list[list[int]]:
    """
    Read rows of ids: an integer tensor or array (rows, seq), or a list of rows.

    Raises:
        ValueError: For other shapes, and for what is not a whole number.
    """
    if isinstance(sequences, ARRAYS):
        check_id_table(sequences, name)
        return sequences.tolist()
    if isinstance(sequences, str | bytes | Mapping) or not isinstance(sequences, Iterable):
        raise ValueError(
            f"{name} is {shown(sequences)}, of type {type(sequences).__name__}: expected ids of shape (rows, seq)."
        )
    return [read_ids(row, f"Row {number} of {name}") for number, row in enumerate(sequences)]


def read_ids(ids: Any, name: str) -> list[int]:
    """
    Read a row of ids: a list, tuple, or integer tensor or array of one dimension.

    Raises:
        ValueError: For other shapes, and for what is not a whole number.
    """
    if isinstance(ids, ARRAYS):
        check_id_table(ids, name, ndim=1)
        return ids.tolist()
    if isinstance(ids, str | bytes | Mapping) or not isinstance(ids, Iterable):
        raise ValueError(f"{name} is {shown(ids)}, of type {type(ids).__name__}: expected a list of ids.")
    listed = list(ids)
    if set(map(type, listed)) <= {int}:
        return listed
    return [read_id(token_id, f"{name}: id {place}") for place, token_id in enumerate(listed)]


def read_id(token_id: Any, name: str) -> int:
    """Read an id: a whole number. Raises a `ValueError` for another type, and for a bool."""
    is_bool = isinstance(token_id, bool | np.bool_) or str(getattr(token_id, "dtype", None)) == "torch.bool"
    try:
        if not is_bool:
            return operator.index(token_id)
    except (TypeError, ValueError):
        pass
    raise ValueError(f"{name} is {shown(token_id)}, of type {type(token_id).__name__}: expected a whole number.")


def check_id_table(table: Any, name: str, ndim: int = 2) -> None:
    """Raise a `ValueError` for a tensor or array that does not hold ids in `ndim` dimensions."""
    shape, expected = tuple(table.shape), {1: "(seq,)", 2: "(rows, seq)"}[ndim]
    if table.ndim != ndim:
        raise ValueError(f"{name} has shape {shape}: expected ids of shape {expected}.")
    if isinstance(table, np.ndarray):
        is_whole = table.dtype.kind in "iu"
    else:
        if table.layout != torch.strided or table.is_meta or table.is_quantized:
            kind = "meta" if table.is_meta else "quantized" if table.is_quantized else "sparse"
            raise ValueError(f"{name} is a {kind} tensor: expected a dense one with values.")
        is_whole = not (table.is_floating_point() or table.is_complex() or table.dtype == torch.bool)
    if not is_whole:
        raise ValueError(f"{name} has dtype {table.dtype}: expected ids, which are whole numbers such as int64.")


def check_padding(encoded_inputs: Any, name: str) -> None:
    """
    Find out why rows cannot be padded.

    Args:
        encoded_inputs: A dict with a list for each name, or a list of dicts.
        name: The name of the ids.

    Raises:
        ValueError: For another type, no rows, a row without ids, ids that are not whole numbers, and fields of another
            number of rows.
    """
    if isinstance(encoded_inputs, Mapping):
        fields = dict(encoded_inputs)
    else:
        examples = read_several(encoded_inputs, "encoded_inputs")
        if not examples:
            raise ValueError("encoded_inputs is empty: expected at least one row.")
        for row, example in enumerate(examples):
            if not isinstance(example, Mapping) or name not in example:
                raise ValueError(f"Row {row} of encoded_inputs is {shown(example)}: expected a dict with {name}.")
        names = [field for field in examples[0] if all(field in example for example in examples)]
        fields = {field: [example[field] for example in examples] for field in names}
    ids = fields.get(name)
    is_one = isinstance(ids, list | tuple) and len(ids) > 0 and isinstance(ids[0], int)
    read_ids(ids, name) if is_one else read_id_rows(ids, name)
    for field, values in fields.items():
        rows = [len(given) if isinstance(given, Sized) else None for given in (ids, values)]
        if not is_one and rows[0] != rows[1]:
            raise ValueError(f"{name} has {rows[0]} rows, but {field} has {rows[1] or 'none'}: expected as many.")


def check_lengths(encoded_inputs: Any, name: str) -> None:
    """Raise a `ValueError` for a row whose mask has not as many values as it has ids. Only lists are checked."""
    is_table = isinstance(encoded_inputs, Mapping)
    for row, (ids, mask) in enumerate(
        zip(*(encoded_inputs.get(field) or () for field in (name, "attention_mask")), strict=False)
        if is_table
        else ((row.get(name), row.get("attention_mask")) for row in encoded_inputs)
    ):
        if isinstance(ids, list | tuple) and isinstance(mask, list | tuple) and len(ids) != len(mask):
            raise ValueError(
                f"Row {row} has {len(ids)} ids in {name}, but {len(mask)} values in attention_mask: expected as many."
            )


def check_decodable(ids: Any) -> None:
    """
    Find the id that a backend refused to decode.

    Raises:
        ValueError: For the first that is not a whole number from 0 on.
    """
    listed = [read_id(ids, "token_ids")] if not isinstance(ids, Iterable) else read_ids(ids, "token_ids")
    for place, token_id in enumerate(listed):
        if not 0 <= token_id <= LARGEST_ID:
            hint = " Negative ids, with which Trainer pads, are for decode_blanks only." if token_id < 0 else ""
            raise ValueError(f"token_ids: id {place} is {token_id}: expected 0 to {LARGEST_ID}.{hint}")


def shown(value: Any) -> str:
    """Return a short form of a value for a message."""
    text = reprlib.repr(value)
    return text if len(text) <= 80 else f"{text[:80]}..."


__all__ = [
    "LARGEST_ID",
    "TextRow",
    "check_decodable",
    "check_id_table",
    "check_lengths",
    "check_padding",
    "check_text",
    "check_texts",
    "read_id",
    "read_id_rows",
    "read_ids",
    "read_number",
    "read_several",
    "read_texts",
    "shown",
]

"""Read the texts that a command works on: from arguments, standard input or a file. A bad line costs no good one."""

import csv
import itertools
import json
import re
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..utils.rows import RowError


class InputFormat(StrEnum):
    auto = "auto"
    lines = "lines"
    jsonl = "jsonl"
    csv = "csv"
    tsv = "tsv"


ENDINGS = {
    ".jsonl": InputFormat.jsonl,
    ".ndjson": InputFormat.jsonl,
    ".json": InputFormat.jsonl,
    ".csv": InputFormat.csv,
    ".tsv": InputFormat.tsv,
}
DELIMITERS = {InputFormat.csv: ",", InputFormat.tsv: "\t"}
STANDARD_INPUT = "standard input"
UTF8_MARK = b"\xef\xbb\xbf"
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Line:
    """
    Hold one text to work on.

    Attributes:
        number: The number of the line or argument, from 1.
        place: Where the text comes from, for messages: "line 3 of texts.csv".
        text: The text, or what is wrong with the line.
        fields: All fields of a JSON object or of a row of a table.
    """

    number: int
    place: str
    text: str | ValueError
    fields: Mapping[str, Any] = field(default_factory=dict)

    def read_text(self) -> str:
        """Return the text. Raises the error of a bad line."""
        if isinstance(self.text, ValueError):
            raise self.text
        return self.text

    def passed_on(self, known: Collection[str]) -> dict[str, Any]:
        """Return what the answer repeats: the text, and the fields that are not for the command, such as an id."""
        kept = {name: value for name, value in self.fields.items() if name not in known}
        return kept or {"text": self.text}

    def tell(self, error: "RowError") -> str:
        """Say what is wrong, with the place of the line."""
        return error.tell(self.place)


def read_lines(
    arguments: list[str],
    file: Path | None = None,
    form: InputFormat = InputFormat.auto,
    text_field: str = "text",
) -> Iterator[Line]:
    """
    Read texts from a file, from the arguments, or from standard input if there is neither or only "-".

    Lines are read as they are wanted, and empty ones are skipped. A line that cannot be read is a `Line` with its error.

    Args:
        arguments: Texts; or one file, whose ending says that it is JSON lines or a table.
        file: A file with texts.
        form: "lines" is a text per line; "jsonl" a JSON object per line; "csv" and "tsv" a table whose first line names
            its columns. "auto" is what the ending of a file says. Otherwise it is lines of which each may be a text or a
            JSON object; or a table, if the first line is the names of columns and `text_field` is among them.
        text_field: The field or column with the text.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If there is nothing to read, if the input is UTF-16, or if a table has no column with texts.
    """
    if file is None and len(arguments) == 1 and Path(arguments[0]).suffix.lower() in ENDINGS:
        named = Path(arguments[0])
        file = named if named.is_file() else None
    if file is not None:
        if form is InputFormat.auto:
            form = ENDINGS.get(file.suffix.lower(), form)
        with open(file, "rb") as stream:
            yield from _read_stream(stream, str(file), form, text_field)
    elif arguments and arguments != ["-"]:
        for number, text in enumerate(arguments, start=1):
            yield Line(number, f"text {number}", _check_text(text))
    elif not arguments and sys.stdin.isatty():
        raise ValueError("There is no text: give texts as arguments, or - to type lines on standard input.")
    else:
        yield from _read_stream(sys.stdin.buffer, STANDARD_INPUT, form, text_field)


def _read_stream(stream: Iterable[bytes], name: str, form: InputFormat, text_field: str) -> Iterator[Line]:
    raw = iter(stream)
    first = next(raw, b"")
    if first.startswith(UTF16_MARKS):
        raise ValueError(f"{name} is UTF-16, as its first two bytes say: save it as UTF-8.")
    first = first.removeprefix(UTF8_MARK)
    if form is InputFormat.auto:
        form = _find_table(first, text_field) or form
    raw = itertools.chain([first], raw)
    lines = (
        _read_table(raw, name, DELIMITERS[form], text_field)
        if form in DELIMITERS
        else _read_texts(raw, name, form, text_field)
    )
    found = next(lines, None)
    if found is None:
        shown = "Standard input" if name == STANDARD_INPUT else name  # the name of a file stands as it is
        raise ValueError(f"{shown} is empty: expected a text on each line.")
    yield found
    yield from lines


def _find_table(first: bytes, text_field: str) -> InputFormat | None:
    """Return the kind of table whose names of columns a line is, such as "id,text", or None."""
    line = first.decode("utf-8", "replace").rstrip("\r\n")
    for form, delimiter in DELIMITERS.items():
        names = [name.removeprefix('"').removesuffix('"') for name in line.split(delimiter)]
        if len(names) > 1 and text_field in names and all(re.fullmatch(r"[\w-]+", name) for name in names):
            return form
    return None


def _read_texts(raw: Iterable[bytes], name: str, form: InputFormat, text_field: str) -> Iterator[Line]:
    for number, content in enumerate(raw, start=1):
        place = f"line {number} of {name}"
        try:
            text = content.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            yield Line(number, place, ValueError(f"The line is not UTF-8: {error}."))
            continue
        if not text.strip():
            continue
        is_object = form is InputFormat.jsonl or (form is InputFormat.auto and text.lstrip().startswith("{"))
        yield _read_object(number, place, text, text_field) if is_object else Line(number, place, _check_text(text))


def _read_object(number: int, place: str, content: str, text_field: str) -> Line:
    try:
        found = json.loads(content)
    except json.JSONDecodeError as error:  # whose message counts lines of its own
        problem = f"The line is not a JSON object: {error.msg} at column {error.colno}."
        return Line(number, place, ValueError(problem))
    except (ValueError, RecursionError) as error:
        return Line(number, place, ValueError(f"The line is not a JSON object: {error}."))
    if isinstance(found, str):
        return Line(number, place, _check_text(found))
    if not isinstance(found, dict):
        return Line(number, place, ValueError(f"The line is a JSON {type(found).__name__}: expected an object."))
    return Line(number, place, _take_text(found, text_field), found)


def _read_table(raw: Iterable[bytes], name: str, delimiter: str, text_field: str) -> Iterator[Line]:
    from ..tokenization.row_files import read_table_rows

    # Bytes that are not UTF-8 become surrogates, so that they are found in their own row.
    decoded = (content.decode("utf-8", "surrogateescape") for content in raw)
    reader = csv.reader(decoded, delimiter=delimiter, strict=True)
    try:
        names = next(reader, [])
    except csv.Error as error:
        raise ValueError(f"line 1 of {name} cannot be read: {error}.") from error
    if not names:
        return
    if repeated := {column for column, count in Counter(names).items() if count > 1}:
        raise ValueError(f"line 1 of {name} has several columns {sorted(repeated)}: give each a name of its own.")
    if text_field not in names:
        raise ValueError(
            f"line 1 of {name} names the columns {names}: expected {text_field!r} among them, or --text-field NAME."
        )
    for number, _, row in read_table_rows(reader, names):
        place = f"line {number} of {name}"
        if isinstance(row, ValueError):
            yield Line(number, place, row)
        elif any(re.search("[\udc80-\udcff]", value) for value in row.values()):
            yield Line(number, place, ValueError("The line is not UTF-8."))
        else:
            yield Line(number, place, _take_text(row, text_field), row)


def _take_text(fields: Mapping[str, Any], text_field: str) -> str | ValueError:
    if text_field not in fields:
        return ValueError(f'The line has no "{text_field}": expected {{"{text_field}": "...", ...}}.')
    return _check_text(fields[text_field])


def _check_text(text: Any) -> str | ValueError:
    from ..utils.rows import read_text

    try:
        return read_text(text)
    except ValueError as error:
        return error


__all__ = ["InputFormat", "Line", "read_lines"]

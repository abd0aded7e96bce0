"""Read examples from files: JSON lines, CSV and TSV. Every error names the file and the line."""

import csv
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

DELIMITERS = {".csv": ",", ".tsv": "\t"}
JSON_LINES = (".jsonl", ".json", ".ndjson")

Row = Mapping[str, Any]
Example = dict[str, Any]


def read_examples(
    path: str | os.PathLike, columns: Sequence[str] = (), convert: Callable[[Example], Example] | None = None
) -> list[Example]:
    """
    Read a file of examples, one per line.

    Args:
        path: JSON objects (`.jsonl`, `.json`, `.ndjson`), or a table whose first line names the columns (`.csv`, `.tsv`),
            in UTF-8.
        columns: Columns that every example must have.
        convert: Checks a row and returns the example, for instance `example_from_row`. A `ValueError` of it comes with
            the file and the line.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: For another ending, a file without examples, text that is not UTF-8 throughout, a line that cannot be
            read, a missing column, and what `convert` refuses.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    suffix = path.suffix.lower()
    if suffix not in DELIMITERS and suffix not in JSON_LINES:
        raise ValueError(f"{path} ends with {suffix!r}: expected one of {', '.join([*DELIMITERS, *JSON_LINES])}.")
    lines = read_json_lines(path) if suffix in JSON_LINES else read_table(path, DELIMITERS[suffix])
    examples = []
    for number, example in lines:
        if missing := [column for column in columns if column not in example]:
            raise ValueError(
                f"{path}, line {number} has no {', '.join(map(repr, missing))}: there are {sorted(example)}."
            )
        try:
            examples.append(convert(example) if convert else example)
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from error
    if not examples:
        raise ValueError(f"{path} has no examples.")
    return examples


def read_json_lines(path: Path) -> Iterator[tuple[int, Example]]:
    """Yield the objects of a file with the numbers of their lines, from 1; empty lines are skipped."""
    # splitlines would also split at Unicode separators inside a text.
    for number, line in enumerate(_read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}, line {number} is not JSON ({error}): {line[:80]!r}") from error
        if not isinstance(row, dict):
            raise ValueError(
                f"{path}, line {number} is {line[:80]!r}: expected an object with the fields of an example."
            )
        yield number, row


def read_table(path: Path, delimiter: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows of a table as dicts, each with the number of its last line."""
    reader = csv.reader(_read_text(path).splitlines(keepends=True), delimiter=delimiter, strict=True)
    try:
        names = next(reader, [])
        if repeated := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"{path} has several columns {sorted(repeated)}: give each a name of its own.")
        for row in reader:
            if not row:
                continue
            if len(row) != len(names):
                raise ValueError(
                    f"{path}, line {reader.line_num} has {len(row)} columns, but the first line names {len(names)} "
                    f"({names}): put texts with {delimiter!r} in quotes."
                )
            yield reader.line_num, dict(zip(names, row, strict=True))
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num} cannot be read: {error}.") from error


def _read_text(path: Path) -> str:
    data = path.read_bytes()
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ValueError(f"{path} is UTF-16, as its first two bytes say: save it as UTF-8.")
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        mixed = " The text before it is UTF-8, so the file mixes encodings." if not before.isascii() else ""
        raise ValueError(
            f"{path} is not UTF-8: byte {error.start} (line {line}) is {data[error.start]:#04x}.{mixed} "
            "Save the whole file as UTF-8."
        ) from error


__all__ = ["read_examples", "read_json_lines", "read_table"]

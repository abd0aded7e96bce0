"""Read examples from files: JSON lines, CSV, TSV and Parquet. Every error names the file and the line."""

import csv
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

DELIMITERS = {".csv": ",", ".tsv": "\t"}
JSON_LINES = (".jsonl", ".json", ".ndjson")
PARQUET = ".parquet"
ENDINGS = (*DELIMITERS, *JSON_LINES, PARQUET)

Row = Mapping[str, Any]
Example = dict[str, Any]


def read_examples(
    path: str | os.PathLike, columns: Sequence[str] = (), convert: Callable[[Example], Example] | None = None
) -> list[Example]:
    """
    Read a file of examples, one per line, or one per row of a Parquet file.

    Args:
        path: JSON objects (`.jsonl`, `.json`, `.ndjson`), or a table whose first line names the columns (`.csv`, `.tsv`),
            in UTF-8. Or a Parquet file (`.parquet`), whose rows messages count as lines from 1; this needs pyarrow.
        columns: Columns that every example must have.
        convert: Checks a row and returns the example, for instance `example_from_row`. A `ValueError` of it comes with
            the file and the line.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: For another ending, a file without examples, text that is not UTF-8 throughout, a line that cannot be
            read, a missing column, and what `convert` refuses.
    """
    path = Path(path)
    examples = []
    for number, example in read_lines(path):
        try:
            if isinstance(example, ValueError):
                raise example
            if missing := [column for column in columns if column not in example]:
                raise ValueError(f"The line has no {', '.join(map(repr, missing))}: there are {sorted(example)}.")
            examples.append(convert(example) if convert else example)
        except ValueError as error:
            raise ValueError(_tell(path, number, error)) from error
    return examples


def read_lines(path: Path) -> Iterator[tuple[int, Example | ValueError]]:
    """
    Yield the examples of a file with the numbers of their lines, from 1. A line that cannot be read is a `ValueError`.

    Raises:
        FileNotFoundError: If the file does not exist.
        ImportError: For a Parquet file, if pyarrow is not installed.
        ValueError: For another ending, a file without examples, text that is not UTF-8 throughout, and a damaged Parquet
            file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    suffix = path.suffix.lower()
    if suffix not in ENDINGS:
        raise ValueError(f"{path} ends with {suffix!r}: expected one of {', '.join(ENDINGS)}.")
    lines: Iterator[tuple[int, Example | ValueError]]
    if suffix == PARQUET:
        lines = _read_parquet(path)
    else:
        lines = _read_json_lines(path) if suffix in JSON_LINES else _read_table(path, DELIMITERS[suffix])
    first = next(lines, None)
    if first is None:
        raise ValueError(f"{path} has no examples.")
    yield first
    yield from lines


def read_json_lines(path: Path) -> Iterator[tuple[int, Example]]:
    """
    Yield the objects of a file with the numbers of their lines, from 1; empty lines are skipped.

    Raises:
        ValueError: For a line that is not a JSON object.
    """
    for number, row in _read_json_lines(path):
        if isinstance(row, ValueError):
            raise ValueError(_tell(path, number, row)) from row
        yield number, row


def _tell(path: Path, number: int, error: ValueError) -> str:
    """Say in which line an error is: "The line has no 'a'" -> "x.csv, line 3 has no 'a'"."""
    reason = str(error)
    place = f"{path}, line {number}"
    return reason.replace("The line", place, 1) if reason.startswith("The line ") else f"{place}: {reason}"


def _read_json_lines(path: Path) -> Iterator[tuple[int, Example | ValueError]]:
    # splitlines would also split at Unicode separators inside a text.
    for number, line in enumerate(read_file_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield number, ValueError(f"The line is not JSON ({error}): {line[:80]!r}")
            continue
        if isinstance(row, dict):
            yield number, row
        else:
            yield (
                number,
                ValueError(f"The line is {line[:80]!r}: expected an object with the fields of an example."),
            )


def open_table(path: Path) -> io.StringIO:
    """Read a file for `csv`, which finds the ends of lines itself: a text may hold a separator of Unicode."""
    return io.StringIO(read_file_text(path), newline="")


def _read_table(path: Path, delimiter: str) -> Iterator[tuple[int, Example | ValueError]]:
    """Yield the rows of a table as dicts, each with the number of its last line."""
    reader = csv.reader(open_table(path), delimiter=delimiter, strict=True)
    try:
        names = next(reader, [])
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num} cannot be read: {error}.") from error
    if repeated := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"{path} has several columns {sorted(repeated)}: give each a name of its own.")
    for _, last, row in read_table_rows(reader, names):
        yield last, row


def read_table_rows(reader: Any, names: Sequence[str]) -> Iterator[tuple[int, int, dict[str, str] | ValueError]]:
    """
    Yield the rows of a table behind the names of its columns. Empty lines are skipped.

    Args:
        reader: A reader of `csv`, which may read a stream.
        names: The names of the columns.

    Returns:
        For each row the numbers of its first and its last line, and a dict by column or what is wrong with the row.
    """
    while True:
        first = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield first, reader.line_num, ValueError(f"The line cannot be read: {error}.")
            continue
        if row and len(row) != len(names):
            problem = (
                f"The line has {len(row)} columns, but the first line names {len(names)} ({names}): put texts with "
                f"{reader.dialect.delimiter!r} in quotes."
            )
            yield first, reader.line_num, ValueError(problem)
        elif row:
            yield first, reader.line_num, dict(zip(names, row, strict=True))


def _read_parquet(path: Path) -> Iterator[tuple[int, Example]]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise ImportError(f"{path} needs pyarrow: pip install pyarrow, or save the rows as JSON lines.") from error
    number = 0
    try:
        with ParquetFile(path) as file:
            for batch in file.iter_batches():
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (ArrowException, OSError) as error:
        raise ValueError(f"{path} cannot be read as Parquet behind row {number}: {error}") from error


def read_file_text(path: Path) -> str:
    """Return the text of a UTF-8 file, without a mark at its start. Raises a `ValueError` that says where it is not UTF-8."""
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


__all__ = ["ENDINGS", "read_examples", "read_file_text", "read_json_lines", "read_lines", "read_table_rows"]

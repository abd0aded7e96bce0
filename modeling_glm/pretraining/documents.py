"""Read texts as a stream: from text files, JSON lines, Parquet and datasets. Errors name the file and the line."""

import glob
import gzip
import json
import math
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
from datasets.exceptions import DatasetNotFoundError

from ..tokenization.row_files import JSON_LINES

KINDS = (".txt", *JSON_LINES, ".parquet")
READABLE = f"Readable files end with {', '.join(KINDS)}; text and JSON lines may also end with .gz."
DocumentKind = Literal["lines", "blank_lines", "files"]
DOCUMENT_KINDS: tuple[DocumentKind, ...] = get_args(DocumentKind)
DATASET_NAME = re.compile(r"\w[\w.-]*(/[\w.-]+)?(:[\w.-]+)?")


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """
    A source of texts, and its share of the training samples.

    Args:
        source: A file, a folder (with all readable files below it, except hidden ones), a pattern like
            `data/*.jsonl.gz`, or else a name for `datasets.load_dataset`, as `name` or `name:config`. Files are `.txt`,
            JSON lines (`.jsonl`, `.json`, `.ndjson`), both also with `.gz` at the end, and `.parquet`. They are read in
            the order of their paths.
        weight: Share of the samples, in proportion to the weights of the other corpora.
        text_column: Column with the text, in JSON lines, Parquet files and datasets. Rows whose text is null or white
            space are left out.
        split: Split of a dataset.
        documents: What counts as one document in a `.txt` file: "lines" (each line), "blank_lines" (the lines between
            two blank lines) or "files" (the whole file). The last line break of a document is left out.
        max_line_bytes: Longest line of text and JSON lines, and longest document of a `.txt` file, in bytes.

    Raises:
        ValueError: For an empty source, a weight that is negative or not finite, an unknown kind of documents, and
            `max_line_bytes` below 1.
    """

    source: str
    weight: float = 1.0
    text_column: str = "text"
    split: str = "train"
    documents: DocumentKind = "lines"
    max_line_bytes: int = 2**26

    def __post_init__(self):
        if not self.source:
            raise ValueError("source is empty: name a file, a folder, a pattern or a dataset.")
        if not (math.isfinite(self.weight) and self.weight >= 0):
            raise ValueError(f"The weight of {self.source} is {self.weight}: expected a number of at least 0.")
        if self.documents not in DOCUMENT_KINDS:
            raise ValueError(f"documents is {self.documents!r}: expected one of {', '.join(DOCUMENT_KINDS)}.")
        if self.max_line_bytes < 1:
            raise ValueError(f"max_line_bytes is {self.max_line_bytes}: expected at least 1.")


def find_files(corpus: Corpus) -> list[Path] | None:
    """
    Find the files of a corpus, in reading order. Return None if its source can only be the name of a dataset.

    Raises:
        FileNotFoundError: If no file exists, and the source cannot be the name of a dataset.
        ValueError: For a file of an unknown kind, and a folder or a pattern without readable files.
    """
    source = os.path.expanduser(corpus.source)
    if os.path.exists(source):
        found = [Path(source)]
        if found[0].is_file() and not _kind(found[0]):
            raise ValueError(f"{source} ends with {found[0].suffix!r}. {READABLE}")
    elif glob.has_magic(source):
        found = [Path(path) for path in glob.glob(source, recursive=True)]
        if not found:
            raise FileNotFoundError(f"No file matches {source}.")
    elif _kind(Path(source)) or not DATASET_NAME.fullmatch(source):
        raise FileNotFoundError(f"There is no file or folder {source}, and no dataset can have that name.")
    else:
        return None
    files = {path for path in found if path.is_file()}
    for folder in set(found) - files:
        visible = (path for path in folder.rglob("*") if not _is_hidden(path.relative_to(folder)))
        files.update(path for path in visible if path.is_file())
    readable = sorted(path for path in files if _kind(path))
    if not readable:
        raise ValueError(f"{source} has {len(files)} files, and none of them is readable. {READABLE}")
    return readable


def read_documents(corpus: Corpus) -> Iterator[str]:
    """
    Yield the texts of a corpus, in constant memory.

    Texts keep their line breaks and white space. Two things change: `\\r\\n` in files becomes `\\n`, and half of a
    surrogate pair in JSON becomes `?`.

    Raises:
        FileNotFoundError: If the source is not a file, folder or pattern, and no dataset of that name can be loaded.
        ValueError: As `find_files` does, and for a corpus without text, a file that is not UTF-8, a line that is too
            long, a damaged file, and a row without the column or with another type in it. The message names the file,
            and the line or the byte.
    """
    files = find_files(corpus)

    def generate() -> Iterator[str]:
        text = None
        for text in read_sources(corpus, files):
            yield text
        if text is None:
            raise ValueError(no_text(corpus))

    return generate()


def no_text(corpus: Corpus) -> str:
    """Return the message for a corpus without text."""
    return f"{corpus.source} has no text: expected at least one document that is not white space."


def read_sources(corpus: Corpus, files: Sequence[Path] | None) -> Iterator[str]:
    """Yield the texts of some files of a corpus, or with None of its dataset. There may be no text at all."""
    for texts in (_read_dataset(corpus),) if files is None else (_read_file(path, corpus) for path in files):
        for text in texts:
            if text and not text.isspace():
                yield text


def _read_file(path: Path, corpus: Corpus) -> Iterator[str | None]:
    kind = _kind(path)
    if kind == ".parquet":
        return _read_parquet(path, corpus.text_column)
    if kind in JSON_LINES:
        return _read_json_lines(path, corpus)
    return _read_text(path, corpus)


def _read_text(path: Path, corpus: Corpus) -> Iterator[str]:
    if corpus.documents == "files":
        yield from (text.removesuffix("\n") for _, text in _read_lines(path, corpus.max_line_bytes, whole=True))
        return
    lines = _read_lines(path, corpus.max_line_bytes)
    if corpus.documents == "lines":
        yield from (line.removesuffix("\n") for _, line in lines)
        return
    document: list[str] = []
    size = 0
    for number, line in lines:
        if line.isspace():
            yield "".join(document).removesuffix("\n")
            document, size = [], 0
            continue
        document.append(line)
        size += len(line.encode())
        if size - line.endswith("\n") > corpus.max_line_bytes:
            raise ValueError(
                f"{path}, line {number - len(document) + 1} begins a document of more than {corpus.max_line_bytes} "
                "bytes without a blank line: raise max_line_bytes, or use other documents."
            )
    yield "".join(document).removesuffix("\n")


def _read_json_lines(path: Path, corpus: Corpus) -> Iterator[str | None]:
    for number, line in _read_lines(path, corpus.max_line_bytes):
        if line.isspace():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f"{path}, line {number} is not JSON ({error}): {line[:80]!r}. Every line must be an object."
            ) from error
        if not isinstance(row, dict):
            raise ValueError(
                f"{path}, line {number} is {line[:80]!r}: expected an object with {corpus.text_column!r}."
            )
        text = _get_text(row, corpus.text_column, f"{path}, line {number}")
        # JSON can hold half of a surrogate pair, which no tokenizer accepts.
        yield text and text.encode("utf-8", "replace").decode("utf-8")


def _read_parquet(path: Path, column: str) -> Iterator[str | None]:
    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            if column not in schema.names:
                raise ValueError(f"{path} has no column {column!r}: there are {', '.join(schema.names)}.")
            kind = schema.field(column).type
            kind = kind.value_type if pa.types.is_dictionary(kind) else kind
            if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
                raise ValueError(f"{path}: column {column!r} is of type {kind}, expected text.")
            for batch in file.iter_batches(batch_size=1000, columns=[column]):
                yield from batch.column(0).to_pylist()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read as Parquet ({error}).") from error


def _read_dataset(corpus: Corpus) -> Iterator[str | None]:
    name, _, config = corpus.source.partition(":")
    try:
        rows: Iterable[Mapping] = datasets.load_dataset(name, config or None, split=corpus.split, streaming=True)
    except (DatasetNotFoundError, ConnectionError) as error:
        raise FileNotFoundError(
            f"There is no file or folder {corpus.source}, and no dataset of that name can be loaded: {error}"
        ) from error
    for number, row in enumerate(rows):
        yield _get_text(row, corpus.text_column, f"{corpus.source}, row {number} of {corpus.split!r}")


def _get_text(row: Mapping[str, Any], column: str, place: str) -> str | None:
    if column not in row:
        raise ValueError(f"{place} has no {column!r}: there are {', '.join(map(repr, row)) or 'no fields'}.")
    text = row[column]
    if text is not None and not isinstance(text, str):
        raise ValueError(f"{place}: {column!r} is {text!r:.80}, expected text.")
    return text


def _read_lines(path: Path, max_bytes: int, whole: bool = False) -> Iterator[tuple[int, str]]:
    """
    Yield the lines of a text file with their numbers from 1, or the whole file as one line. Lines keep their line breaks.

    Memory holds at most `max_bytes` of the file.
    """
    packed = path.suffix.lower() == ".gz"
    what = "text (packed in it)" if packed else "text"
    number = offset = 0
    try:
        with gzip.open(path) if packed else open(path, "rb") as file:
            # Two more bytes than allowed, for the line break.
            while line := file.read(max_bytes + 2) if whole else file.readline(max_bytes + 2):
                number += 1
                if (zero := line.find(b"\0")) >= 0:
                    raise ValueError(f"{path} is not {what}: byte {offset + zero} is NUL. Save it as text in UTF-8.")
                if len(line.removesuffix(b"\n").removesuffix(b"\r")) > max_bytes:
                    place = "" if whole else f", line {number}"
                    raise ValueError(f"{path}{place} has more than {max_bytes} bytes: raise max_line_bytes.")
                try:
                    text = line.decode("utf-8")
                except UnicodeDecodeError as error:
                    raise ValueError(
                        f"{path} is not {what} in UTF-8: byte {offset + error.start} (line "
                        f"{number + line[: error.start].count(10)}) is {line[error.start]:#04x}. Save it as UTF-8."
                    ) from error
                yield number, (text.removeprefix("\ufeff") if offset == 0 else text).replace("\r\n", "\n")
                offset += len(line)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is damaged, or is not a gzip file ({error}).") from error


def _kind(path: Path) -> str:
    """Return the ending that decides how to read a file, or "" for an unreadable one."""
    ending = path.suffix.lower()
    if ending == ".gz":
        ending = Path(path.stem).suffix.lower()
        return ending if ending != ".parquet" and ending in KINDS else ""
    return ending if ending in KINDS else ""


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)

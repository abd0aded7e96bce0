"""Read the labelled texts of the archives. Every error names the file and the line."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from modeling_glm.tokenization.row_files import read_file_text, read_lines

Example = dict[str, str]

# A mean rating from -4 to 4 that is nearer to 0 says neither.
CLEAR_RATING = 0.5
# The head of a table of Orange: names of the columns, their kinds, their roles.
ORANGE_HEAD = ["Category\tText", "d\tstring", "class\t"]
# The Penn Treebank's tokenization of questions: "Who 's `` Mira '' ?" -> 'Who's "Mira"?'
_UNTOKENIZED = (
    (r"``\s*(.*?)\s*''", r'"\1"'),
    (r"`\s*(.*?)\s*'(?!\w)", r"'\1'"),
    (r"\s+([?!.,;:])", r"\1"),
    (r"\s+('(?:s|re|ve|ll|d|m)|n't)\b", r"\1"),
    (r"(?<=s)\s+'(?=\s)", "'"),
)


def read_ratings(path: Path) -> Iterator[Example]:
    """Yield sentences with a clear mean rating: lines of a number, the mean rating and the sentence, behind tabs."""
    for line, cells in _cells(path, "a number, a mean rating and a text", columns=3):
        try:
            rating = float(cells[1])
        except ValueError as error:
            raise ValueError(f"{path}, line {line}: the rating is {cells[1]!r}, expected a number.") from error
        if abs(rating) > CLEAR_RATING:
            yield {"text": cells[2], "label": "positive" if rating > 0 else "negative"}


def read_questions(path: Path) -> Iterator[Example]:
    """Yield questions with their coarse class: lines such as `NUM:date When was Mira born ?`."""
    for line, text in _lines(path):
        found = re.fullmatch(r"([A-Z]+):\S+ (.+)", text)
        if found is None:
            raise ValueError(f"{path}, line {line} is {text[:80]!r}: expected 'CLASS:kind A question ?'.")
        yield {"text": untokenize(found[2]), "label": found[1]}


def read_messages(path: Path) -> Iterator[Example]:
    """Yield messages from a CSV file with the columns `spam`, 0 or 1, and `text`."""
    for line, row in read_lines(path):
        if isinstance(row, ValueError):
            raise ValueError(f"{path}, line {line}: {row}") from row
        if row.get("spam") not in ("0", "1") or "text" not in row:
            raise ValueError(f"{path}, line {line} is {row!r}: expected the columns 'spam' (0 or 1) and 'text'.")
        yield {"text": row["text"], "label": "spam" if row["spam"] == "1" else "ham"}


def read_documents(path: Path) -> Iterator[Example]:
    """Yield documents from a table of Orange: three lines of head, then lines of a label and a text."""
    lines = list(_lines(path))
    head = [text for _, text in lines[:3]]
    if head != ORANGE_HEAD:
        raise ValueError(f"{path} begins with {head!r}: expected {ORANGE_HEAD!r}.")
    for _, (label, text) in _cells(path, "a label and a text", columns=2, skip=3):
        yield {"text": text, "label": label}


FORMS: dict[str, Callable[[Path], Iterator[Example]]] = {
    "documents": read_documents,
    "messages": read_messages,
    "questions": read_questions,
    "ratings": read_ratings,
}


def untokenize(text: str) -> str:
    """Undo the tokenization of the Penn Treebank: ``Who 's `` Mira '' ?`` becomes ``Who's "Mira"?``."""
    for pattern, replacement in _UNTOKENIZED:
        text = re.sub(pattern, replacement, text)
    return text


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a file that are not empty, with their numbers from 1."""
    # splitlines would also split at Unicode separators inside a text.
    for number, line in enumerate(read_file_text(path).split("\n"), start=1):
        if text := line.removesuffix("\r"):
            yield number, text


def _cells(path: Path, expected: str, columns: int, skip: int = 0) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of every line behind the first `skip` ones."""
    for number, text in _lines(path):
        if number <= skip:
            continue
        cells = text.split("\t")
        if len(cells) != columns or not all(cell.strip() for cell in cells):
            raise ValueError(f"{path}, line {number} is {text[:80]!r}: expected {expected}, with tabs between them.")
        yield number, cells


__all__ = ["FORMS", "read_documents", "read_messages", "read_questions", "read_ratings", "untokenize"]

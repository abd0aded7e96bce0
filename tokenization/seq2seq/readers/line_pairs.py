"""Read tasks whose examples are lines: `.source` and `.target` files, texts to blank, and XSum."""

import re
from pathlib import Path
from random import Random
from typing import Any

from ..word_blanks import BLANK, answers_between, blank_words
from .cleaning import clean_text
from .reading import Reading, Row, member, read_json_file, read_text_lines

_SECTION = re.compile(r"\[SN\](.+)\[SN\]")
_ANSWER_SEPARATOR = "|"


def read_summaries(reading: Reading, clean: str) -> list[Row]:
    """
    Read a `.source` and a `.target` file, whose lines belong together.

    Args:
        reading: The two files.
        clean: How texts are cleaned; see `clean_text`.

    Raises:
        ValueError: For files of unequal length, and, unless faults are read, for an empty line.
    """
    rows = []
    for number, (source, target) in enumerate(_pairs(reading)):
        source = clean_text(source, clean, original=reading.original)
        target = clean_text(target, clean, target=True, original=reading.original)
        # The reference of the custom task stays as it is written.
        reference = target if clean == "none" else reading.round_trip(target)
        rows.append(
            {
                "source": source,
                "target": target,
                "references": [reference],
                "id": reading.name(number),
                **reading.record(number, {"ref": reference}, source, target),
            }
        )
    return rows


def read_extraction(reading: Reading) -> list[Row]:
    """
    Read sources with blanks of their own, and targets with one answer for each, separated by `|`.

    Raises:
        ValueError: For files of unequal length; and, unless faults are read, for an empty line and for another number
            of answers than blanks. The originals ignore answers without a blank.
    """
    rows = []
    for number, (source, target) in enumerate(_pairs(reading)):
        answers = target.split(_ANSWER_SEPARATOR)
        blanks = source.count(BLANK)
        if not reading.faults and blanks != len(answers):
            raise ValueError(
                f"{reading.paths[0]}, line {number + 1} has {blanks} blanks ({BLANK}), but {reading.paths[1]} has "
                f"{len(answers)} answers there ({target!r}): give one a blank, separated by {_ANSWER_SEPARATOR}."
            )
        rows.append(
            {
                "source": source,
                "target": answers[:blanks],
                "references": ["\n".join(answers[:blanks])],
                "id": reading.name(number),
                **reading.record(number, {"ref": target}, source, target),
            }
        )
    return rows


def read_blanks(reading: Reading) -> list[Row]:
    """
    Read texts and blank some of their words. With a second file, its lines are the same texts with blanks.

    A row has `text`, the text without blanks. Texts too short for a blank are left out, unless faults are read; the
    choice of words in other texts is the same.

    Raises:
        ValueError: For files of unequal length, blanks that do not fit the text, and, unless faults are read, for an
            empty line. If they are, for another vocabulary than BERT's.
    """
    if reading.faults and not _has_word_pieces(reading.tokenizer):
        raise ValueError(f"The originals read {reading.task!r} with BERT's vocabulary alone: leave faults=True out.")
    texts, *given = _aligned(reading)
    rng = Random(reading.seed)
    rows = []
    for number, line in enumerate(texts):
        text = clean_text(line, "blank_lm", original=reading.original)
        if given:
            source = clean_text(given[0][number], "blank_lm", original=reading.original)
            answers = answers_between(source, text)
            if answers is None and not reading.faults:
                raise ValueError(
                    f"{reading.paths[1]}, line {number + 1} is not line {number + 1} of {reading.paths[0]} with "
                    f"blanks: {source!r} against {text!r}."
                )
            text_a = source
        else:
            source, answers = blank_words(text, reading.mask_ratio, rng)
            text_a = text
        if not answers and not reading.faults:
            continue
        target: list[Any] = answers or [[]]  # no text for no blank
        rows.append(
            {
                "source": source,
                "target": target,
                "references": ["\n".join(answers or [])],
                "text": text,
                "id": reading.name(number),
                **reading.record(number, {"ref": text}, text_a, text),
            }
        )
    return rows


def read_xsum(reading: Reading) -> list[Row]:
    """
    Read XSum: a JSON file with the ids of every split, and beside it a file `ID.summary` for each.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file has another form.
    """
    (path,) = reading.paths
    split = {"dev": "validation"}.get(reading.split, reading.split)
    ids = member(read_json_file(path), split, list, str(path))
    rows = []
    for number, document in enumerate(ids):
        file = path.parent / f"{document}.summary"
        if not file.is_file():
            raise FileNotFoundError(f"There is no file {file}, but {path} lists {document!r} under {split!r}.")
        source, target = _read_sections(file)
        reference = reading.round_trip(target)
        rows.append(
            {
                "source": source,
                "target": target,
                "references": [reference],
                "id": str(document),
                **reading.record(number, {"ref": reference}, source, target),
            }
        )
    if not rows:
        raise ValueError(f"{path} has no ids under {split!r}.")
    return rows


def _has_word_pieces(tokenizer: Any) -> bool:
    return type(tokenizer.backend_tokenizer.model).__name__ == "WordPiece"


def _read_sections(path: Path) -> tuple[str, str]:
    """Return the article and the first sentence of a `.summary` file, each in one line."""
    sections: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in read_text_lines(path):
        if header := _SECTION.fullmatch(line):
            lines = sections.setdefault(header.group(1), [])
        elif line:
            lines.append(line)
    found = []
    for name in ("RESTBODY", "FIRST-SENTENCE"):
        if not sections.get(name):
            raise ValueError(f"{path} has no text under [SN]{name}[SN]: there are the sections {sorted(sections)}.")
        found.append(" ".join(sections[name]))
    return found[0], found[1]


def _pairs(reading: Reading) -> list[tuple[str, str]]:
    sources, targets = _aligned(reading)
    return list(zip(sources, targets, strict=True))


def _aligned(reading: Reading) -> list[list[str]]:
    """Return the lines of every file, checked to be as many and not empty."""
    files = [read_text_lines(path) for path in reading.paths]
    first = files[0]
    for path, lines in zip(reading.paths[1:], files[1:], strict=True):
        if len(lines) != len(first):
            longer, shorter = (reading.paths[0], path) if len(first) > len(lines) else (path, reading.paths[0])
            raise ValueError(
                f"{reading.paths[0]} has {len(first)} lines, but {path} has {len(lines)}: line "
                f"{min(len(first), len(lines)) + 1} of {longer} has no partner in {shorter}."
            )
    if not reading.faults:
        for path, lines in zip(reading.paths, files, strict=True):
            if "" in lines:
                raise ValueError(
                    f"{path}, line {lines.index('') + 1} is empty: expected a text. Remove the line"
                    f"{' in every file' if len(files) > 1 else ''}."
                )
    return files


__all__ = ["read_blanks", "read_extraction", "read_summaries", "read_xsum"]

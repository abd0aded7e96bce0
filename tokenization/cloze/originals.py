"""
Read the files of GLUE, CLUE, RACE and the data sets of Zhang et al. 2015 (AG News, Yahoo, Yelp) as they are distributed.

The file of a task says under "files" what its data look like. The rows have the columns of the same data on the hub, so
`example_from_row` makes examples of both.
"""

import csv
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from ..patterns.values import find_class, is_missing
from ..row_files import Example, Row, open_table, read_file_text, read_json_lines
from .published import available_tasks, read_task
from .rows import example_from_row

LEVELS = ("middle", "high")  # the folders of RACE


def read_original(task: str, data_dir: str | os.PathLike, split: str) -> list[Example]:
    """
    Read one split of a task outside SuperGLUE from the files that its authors distribute.

    The texts are cleaned as the originals' code does. In English tasks but RACE, typographic quotes and dashes become ASCII.

    - GLUE (MNLI, SST-2, CoLA, MRPC, QQP, QNLI): tables with tabs, in which quotes are letters.
    - AG News, Yahoo, Yelp: CSV without names of columns. Their test set is the split "val".
    - CLUE (AFQMC, TNEWS, CLUEWSC): JSON lines.
    - RACE: a folder per split, with a file per article in "middle" and "high"; every question is an example.

    Args:
        task: Its name; see `original_tasks`.
        data_dir: The folder with the files, or its parent with the folder of the task as it is unpacked ("MNLI",
            "ag_news_csv", ...).
        split: "train", "val" or "test"; MNLI also has "val_mismatched" and "test_mismatched".

    Returns:
        The examples in the order of the files, with `label`: the name of a class, or the number of the right choice
        (RACE); None if the file has none. Lines with another number of columns, of which QQP has some, are left out with a
        warning.

    Raises:
        ValueError: For an unknown task or split, and a line that cannot be read; the message names it.
        FileNotFoundError: If the folder or the file does not exist.
    """
    data = read_task(task)
    names, integers = list(data.get("verbalizer", {})), data.get("integer_labels", "auto")
    examples = []
    for place, row in read_original_rows(task, data_dir, split):
        try:
            example = example_from_row(data, row)
            if names:
                find_class(example["label"], names, integers)  # raises for a label outside the task
            examples.append(example)
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from error
    return examples


def original_tasks() -> list[str]:
    """List the names of the tasks that `read_original` reads."""
    return [name for name in available_tasks() if "files" in read_task(name)]


def original_splits(task: str) -> list[str]:
    """List the splits of a task that `read_original` reads; empty for a task without files."""
    return list(read_task(task).get("files", {"splits": {}})["splits"])


def find_original(task: str, data_dir: str | os.PathLike, split: str) -> Path | None:
    """
    Return the file (for RACE the folder) of a split in the form of its authors, or None if there is none.

    A file of the same name in another form, such as a CSV with names of columns, is none.

    Raises:
        ValueError: For an unknown task or split.
    """
    files = _describe(task, split)
    name = files["splits"][split]
    for path in (Path(data_dir) / name, Path(data_dir) / files["folder"] / name):
        if path.exists() and _has_form(path, task, split):
            return path
    return None


def read_original_rows(task: str, data_dir: str | os.PathLike, split: str) -> Iterator[tuple[str, Row]]:
    """
    Yield the rows of a split, each with its place such as "train.tsv, line 3". For arguments and errors see `read_original`.
    """
    files = _describe(task, split)
    path = find_original(task, data_dir, split)
    if path is None:
        raise _nothing_found(Path(data_dir), files, split)
    rows = _READERS[files["form"]](path, files, split)
    names = list(read_task(task).get("verbalizer", {}))
    found = False
    for place, row in rows:
        found = True
        try:
            yield place, _with_label(row, task, names, files)
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from error
    if not found:
        raise ValueError(f"{path} has no examples: download it again.")


def _describe(task: str, split: str) -> dict[str, Any]:
    data = read_task(task)
    if "files" not in data:
        raise ValueError(f"Task {task!r} has no files to be read here: expected one of {original_tasks()}.")
    if split not in data["files"]["splits"]:
        raise ValueError(f"Task {task!r} has no split {split!r}: expected one of {sorted(data['files']['splits'])}.")
    return data["files"]


def _nothing_found(folder: Path, files: Mapping[str, Any], split: str) -> Exception:
    name = files["splits"][split]
    if not folder.is_dir():
        return FileNotFoundError(f"There is no folder {folder}: give the one with {files['folder']}'s {name}.")
    if existing := [path for path in (folder / name, folder / files["folder"] / name) if path.exists()]:
        return ValueError(f"{existing[0]} has not the form of the file {name} of {files['folder']}.")
    return FileNotFoundError(f"There is neither {folder / name} nor {folder / files['folder'] / name}.")


def _with_label(row: Row, task: str, names: Sequence[str], files: Mapping[str, Any]) -> Row:
    """Return a row whose label is the name of its class: where files count from 1, "3" is the third."""
    first = files.get("labels_from")
    if first is None:
        return row
    column = next(iter(files["columns"]))
    label = row[column]
    if is_missing(label):
        return row
    numbers = [str(first + place) for place in range(len(names))]
    if label not in numbers:
        raise ValueError(f"the label is {label!r}: expected one of {numbers}.")
    return {**row, column: names[numbers.index(label)]}


def _has_form(path: Path, task: str, split: str) -> bool:
    """Return whether a file has the columns that its authors give it."""
    files = _describe(task, split)
    if files["form"] == "race":
        return any((path / level).is_dir() for level in LEVELS)
    if files["form"] == "jsonl":
        return path.is_file()
    if files["form"] == "csv":
        first = next(csv.reader(islice(open_table(path), 1000)), [])
        return len(first) == len(files["columns"]) and first[0].isdigit()
    first = read_file_text(path).partition("\n")[0].rstrip("\r").split("\t")
    if "columns" in files and split != "test":
        return len(first) == len(files["columns"]) and first[files["columns"].index("label")] in ("0", "1")
    wanted = files.get("renamed") or {"sentence": "sentence"}
    return {column for column, name in wanted.items() if name != "label"} <= set(first)


def _read_tsv(path: Path, files: Mapping[str, Any], split: str) -> Iterator[tuple[str, Row]]:
    """Yield the rows of a table of GLUE. Its texts have no quotes around them, and may hold single ones."""
    lines = read_file_text(path).split("\n")
    start = 0
    if "columns" in files and split != "test":
        columns = files["columns"]
    else:
        columns, start = lines[0].rstrip("\r").split("\t"), 1
    renamed, left_out = files.get("renamed", {}), []
    for number, line in enumerate(lines[start:], start=start + 1):
        line = line.rstrip("\r")
        if not line:
            continue
        cells = line.split("\t")
        if len(cells) != len(columns):
            left_out.append(number)
            continue
        row = {renamed.get(name, name): cell for name, cell in zip(columns, cells, strict=True)}
        yield f"{path}, line {number}", {**row, "label": row.get("label") if split[:4] != "test" else None}
    if left_out:
        shown = ", ".join(map(str, left_out[:5])) + (", ..." if len(left_out) > 5 else "")
        warnings.warn(
            f"{path}: {len(left_out)} lines have another number of columns than {len(columns)} and are left out "
            f"(line {shown}).",
            stacklevel=2,
        )


def _read_csv(path: Path, files: Mapping[str, Any], split: str) -> Iterator[tuple[str, Row]]:
    """Yield the rows of a CSV file without names of columns."""
    reader, columns = csv.reader(open_table(path)), files["columns"]
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise ValueError(f"{path}, line {reader.line_num} cannot be read: {error}.") from error
        if not cells:
            continue
        place = f"{path}, line {reader.line_num}"
        if len(cells) != len(columns):
            raise ValueError(f"{place} has {len(cells)} columns: expected {len(columns)} ({', '.join(columns)}).")
        yield place, dict(zip(columns, cells, strict=True))


def _read_json_lines(path: Path, files: Mapping[str, Any], split: str) -> Iterator[tuple[str, Row]]:
    for number, row in read_json_lines(path):
        yield f"{path}, line {number}", row


def _read_race(path: Path, files: Mapping[str, Any], split: str) -> Iterator[tuple[str, Row]]:
    """Yield the questions of RACE, level by level, in the order of the numbers of the files."""
    for level in LEVELS:
        for file in sorted((path / level).glob("*.txt"), key=lambda file: (len(file.stem), file.stem)):
            for number, article in read_json_lines(file):
                yield from _split_article(f"{file}, line {number}", article)


def _split_article(place: str, article: Row) -> Iterator[tuple[str, Row]]:
    try:
        questions, options, answers = article["questions"], article["options"], article.get("answers")
        answers = [None] * len(questions) if answers is None else answers
        if not len(questions) == len(options) == len(answers):
            raise ValueError(
                f"{place} has {len(questions)} questions, {len(options)} lists of options and {len(answers)} answers: "
                "expected as many of each."
            )
        for number, (question, choices, answer) in enumerate(zip(questions, options, answers, strict=True)):
            idx = {"article": article["id"], "question": number}
            row = {"article": article["article"], "question": question, "options": choices, "answer": answer}
            yield f"{place}, question {number}", {"idx": idx, **row}
    except KeyError as error:
        raise ValueError(f"{place}: there is no {error.args[0]!r}; is this a file of RACE?") from None


_READERS = {"csv": _read_csv, "jsonl": _read_json_lines, "race": _read_race, "tsv": _read_tsv}

__all__ = ["find_original", "original_splits", "original_tasks", "read_original", "read_original_rows"]

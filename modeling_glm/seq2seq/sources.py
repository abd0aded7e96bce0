"""Load sources with their targets: files of your own, datasets of the hub, and the tasks of the originals."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ..tokenization import GLMTokenizer
from ..tokenization.patterns.syntax import FieldElement, parse
from ..tokenization.patterns.values import text_of, texts_of
from ..tokenization.row_files import read_examples, read_lines
from ..tokenization.seq2seq.encoding import SourcePattern
from ..tokenization.seq2seq.published import Seq2SeqTask
from ..utils.extras import from_extra
from ..utils.rows import check_rows
from ..utils.splits import VALIDATION_NAMES, hold_out

Rows = list[dict[str, Any]]
SOURCE, TARGET = "source", "target"
# Between the names of several target columns, in the name of the column that holds all of their texts.
AND = " + "
_SOURCE_FIELD = re.compile(r"\{\s*source\s*(?=[|}])")


@dataclass(frozen=True, kw_only=True)
class Columns:
    """
    Say which columns of a table hold sources and targets.

    Args:
        pattern: The text with its blanks: `"[sMASK] Content: {document|shorten}"`. `{source}` stands for the column `source`.
            By default the source with a blank behind it, cut at its end if it is too long.
        source: The column with the sources.
        targets: The column with the targets. Give one column per blank, or one whose values are lists with a text per
            blank. A list of texts for one blank is several targets of one source.
        compared: Column with the list of texts that metrics compare an answer with, where they are not the targets. Only
            for one blank.
    """

    pattern: str | None = None
    source: str = SOURCE
    targets: tuple[str, ...] = (TARGET,)
    compared: str | None = None

    @property
    def target(self) -> str:
        """The name of the column that the collator reads: `"question + answer"` if there are several."""
        return AND.join(self.targets)

    def pattern_for(self, gmask_token: str | None) -> str:
        """
        Return the pattern with the name of the source column in it.

        Args:
            gmask_token: The `[gMASK]` of the vocabulary. Without one, the default pattern has a `[MASK]`.
        """
        if self.pattern is None:
            return f"{{{self.source}|shorten}} {'[gMASK]' if gmask_token else '[MASK]'}"
        return _SOURCE_FIELD.sub(lambda match: match[0].replace(SOURCE, self.source), self.pattern)

    @cached_property
    def source_pattern(self) -> SourcePattern:
        """The pattern in its elements."""
        text = self.pattern_for(None)
        return SourcePattern(text, parse(text))

    def references(self, row: Mapping[str, Any]) -> list[list[str]]:
        """Return what the answer of every blank of a row should be: a text, or one of several."""
        one_blank = self.source_pattern.has_one_blank
        found = row[self.compared] if one_blank and self.compared else row[self.target]
        texts = [found] if isinstance(found, str) else list(found)
        return [texts] if one_blank else [[text] for text in texts]

    def source_text(self, row: Mapping[str, Any]) -> str:
        """Return the text of all fields of a row."""
        fields = (element for element in self.source_pattern.elements if isinstance(element, FieldElement))
        return " ".join(field.read(row) for field in fields)

    def check(self, row: Mapping[str, Any], labelled: bool = True) -> dict[str, Any]:
        """
        Return a row with its targets in one column.

        Raises:
            ValueError: If a column is missing, if all texts of the source are empty, or if a target is missing or empty.
        """
        pattern = self.source_pattern
        if missing := sorted(pattern.fields - set(row)):
            raise ValueError(
                f"The line has no column {missing[0]!r}: there are {sorted(map(str, row))}. Name the columns with --source "
                "and --target, or give a --pattern that reads these."
            )
        if pattern.fields and pattern.is_empty(row):
            raise ValueError(f"The line has an empty source: {', '.join(sorted(pattern.fields))}.")
        return {**row, self.target: self._read_target(row)} if labelled else dict(row)

    def _read_target(self, row: Mapping[str, Any]) -> str | list[str]:
        if missing := [name for name in self.targets if name not in row]:
            raise ValueError(
                f"The line has no column {missing[0]!r}: there are {sorted(map(str, row))}. Name the column of the targets "
                "with --target."
            )
        values = [row[name] for name in self.targets]
        if len(values) == 1:
            (value,) = values
            is_list = not isinstance(value, str | bytes | Mapping) and hasattr(value, "__len__")
            pattern = self.source_pattern
            if not is_list and not pattern.brings_blanks and len(pattern.blanks) > 1:
                raise ValueError(
                    f"The line has one text in {self.target!r}, but the pattern has {len(pattern.blanks)} blanks: name a "
                    "column for each with --target, or give a list with one text for each."
                )
            read = texts_of if is_list else text_of
            found = read(value, f"{'field' if is_list else 'Field'} {self.target!r}")
        else:
            found = [text_of(value, f"Field {name!r}") for name, value in zip(self.targets, values, strict=True)]
        if not found or not all(text.strip() for text in ([found] if isinstance(found, str) else found)):
            raise ValueError(f"The line has an empty target {self.target!r}: {found!r}.")
        return found


@dataclass(frozen=True, kw_only=True)
class Seq2SeqData:
    """
    Hold sources with their targets, in splits.

    Args:
        name: Name of the data.
        columns: The pattern and the columns.
        train: Rows to learn from.
        validation: Rows that choose the best checkpoint.
        test: Rows to report on.
        unlabelled: Rows to predict. A `ValueError` stands in the place of a line that cannot be read.
        lines: The line of every unlabelled row in its file, from 1. By default they are counted.
        metrics: Names of the metrics to report.
    """

    name: str
    columns: Columns
    train: Rows = field(default_factory=list)
    validation: Rows = field(default_factory=list)
    test: Rows = field(default_factory=list)
    unlabelled: Sequence[dict[str, Any] | ValueError] = ()
    lines: Sequence[int] = ()
    metrics: tuple[str, ...] = ("rouge",)

    def take(self, limit: int) -> "Seq2SeqData":
        """Return the data with at most the first `limit` rows of every split."""
        splits = {name: getattr(self, name)[:limit] for name in ("train", "validation", "test", "unlabelled", "lines")}
        return replace(self, **splits)

    @property
    def to_report(self) -> tuple[str, Rows]:
        """The split to report on, by its name: the test rows, or else those for validation."""
        return ("test", self.test) if self.test else ("validation", self.validation)


def load_files(
    columns: Columns,
    *,
    train: str | os.PathLike | None = None,
    validation: str | os.PathLike | None = None,
    test: str | os.PathLike | None = None,
    unlabelled: str | os.PathLike | None = None,
) -> Seq2SeqData:
    """
    Load rows from your own CSV, TSV, JSON lines or Parquet files.

    Args:
        columns: The pattern and the columns; the files must have them.
        train: Rows to learn from. Give at least one file.
        validation: Rows that choose the best checkpoint; by default a tenth of `train`.
        test: Rows to report on.
        unlabelled: Rows to predict, which need no target. A bad line is kept as an error; the others are predicted.

    Raises:
        ValueError: If no file is given; or if a file with targets cannot be read, lacks a column, or has an empty source or
            target. The message names the line.
        FileNotFoundError: If a file is missing.
    """
    paths = [Path(path) for path in (train, test, validation, unlabelled) if path is not None]
    if not paths:
        raise ValueError("There is no file: expected one to train on, to report on or to predict.")
    for path in paths:
        if not path.is_file():
            raise FileNotFoundError(f"There is no file {path}. Name a dataset of the hub with --dataset.")

    def read(path: str | os.PathLike | None) -> Rows:
        return [] if path is None else read_examples(path, convert=columns.check)

    rows, held_out = read(train), read(validation)
    if validation is None:
        rows, held_out = hold_out(rows)
    to_predict = list(read_lines(Path(unlabelled))) if unlabelled else []
    return Seq2SeqData(
        name=paths[0].stem,
        columns=columns,
        train=rows,
        validation=held_out,
        test=read(test),
        unlabelled=[row for _, row in to_predict],
        lines=[line for line, _ in to_predict],
    )


def load_hub_dataset(columns: Columns, name: str, config: str | None = None) -> Seq2SeqData:
    """
    Load a dataset with the package `datasets`: of the hub, or a folder of files or of `save_to_disk`.

    Splits are found by their usual names. Without one for validation, a tenth of "train" is held out.

    Args:
        columns: The pattern and the columns.
        name: Name on the hub, or a folder.
        config: Name of the configuration, such as "3.0.0".

    Raises:
        ValueError: If no split is known, or if a row lacks a column or has an empty source or target.
        ImportError: If `datasets` is not installed.
    """
    with from_extra("train", "--dataset"):
        import datasets
    saved = any((Path(name) / file).is_file() for file in ("dataset_dict.json", "state.json"))
    loaded = datasets.load_from_disk(name) if saved else datasets.load_dataset(name, config)
    splits = dict(loaded) if isinstance(loaded, datasets.DatasetDict) else {"train": loaded}

    def read(names: Sequence[str]) -> Rows:
        found = next((split for split in names if split in splits), None)
        if found is None:
            return []
        return check_rows(splits[found], _in_split(columns.check), kind=f"Split {found!r}, row").good

    train, validation, test = read(["train"]), read(VALIDATION_NAMES), read(["test"])
    if not train and not validation and not test:
        raise ValueError(f"{name} has the splits {sorted(splits)}: expected train, validation or test among them.")
    if not validation:
        train, validation = hold_out(train)
    return Seq2SeqData(name=Path(name).name, columns=columns, train=train, validation=validation, test=test)


def load_task(
    task: Seq2SeqTask,
    data_dir: str | os.PathLike,
    tokenizer: GLMTokenizer,
    *,
    max_source_length: int | None = None,
    mask_ratio: float = 0.3,
    seed: int = 0,
    original: bool = False,
) -> Seq2SeqData:
    """
    Load a task of the originals from its files. Test files may be missing. Rows without a target are predicted.

    Args:
        task: The task.
        data_dir: Folder with its files.
        tokenizer: The tokenizer of the model.
        max_source_length, mask_ratio, seed, original: As in `Seq2SeqTask.read`.

    Raises:
        FileNotFoundError: If the files for training, or those for validation, are missing.
        ValueError: For files of another form.
    """
    splits: dict[str, Rows] = {}
    for split in task.splits:
        try:
            splits[split] = task.read(
                data_dir,
                split,
                tokenizer=tokenizer,
                max_source_length=max_source_length,
                mask_ratio=mask_ratio,
                seed=seed,
                original=original,
            )
        except FileNotFoundError:
            if split != "test":
                raise
    test = splits.get("test", [])
    return Seq2SeqData(
        name=task.name,
        columns=Columns(pattern=task.pattern_for(tokenizer, original), compared="references"),
        train=splits["train"],
        validation=splits.get("validation", []),
        test=[row for row in test if TARGET in row],
        unlabelled=[row for row in test if TARGET not in row],
        metrics=tuple(task.metrics),
    )


def _in_split(check: Callable[[Mapping[str, Any]], dict[str, Any]]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Say "row" in place of "line" in the errors of a check."""

    def check_row(row: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return check(row)
        except ValueError as error:
            raise ValueError(str(error).replace("The line", "It", 1)) from error

    return check_row


__all__ = ["Columns", "Seq2SeqData", "load_files", "load_hub_dataset", "load_task"]

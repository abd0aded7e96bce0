"""Load the examples of a task: published data, or files of your own."""

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, zip_longest
from pathlib import Path
from random import Random
from typing import Any

from ..tokenization import PatternVerbalizer
from ..tokenization.cloze.originals import find_original, original_splits, read_original
from ..tokenization.cloze.published import read_task
from ..tokenization.cloze.rows import example_from_row
from ..tokenization.cloze.superglue import SUPERGLUE_TASKS, read_superglue
from ..tokenization.patterns.values import is_missing, text_of
from ..tokenization.row_files import DELIMITERS, JSON_LINES, read_examples, read_lines
from ..utils.extras import from_extra
from ..utils.rows import check_rows
from ..utils.splits import VALIDATION_NAMES, hold_out

Examples = list[dict[str, Any]]


# The fields of a question that several training examples share.
QUESTIONS = {"copa": ("premise", "question"), "record": ("passage", "query"), "multirc": ("passage", "question")}


@dataclass(frozen=True)
class ClozeData:
    """
    A task with its examples, which are dicts of fields.

    Args:
        name: Name of the data.
        task: The patterns and words.
        train: Examples to learn from.
        validation: Examples to fit a temperature on.
        test: Examples to report on.
        unlabelled: Examples to predict. A `ValueError` stands in the place of a line that cannot be read.
        lines: The line of every unlabelled example in its file, from 1. By default they are counted.
        submits: Whether the unlabelled examples are the test set of SuperGLUE, whose server takes a file of its own form.
        max_length: Where the texts of this data are usually cut, in tokens; None if nothing is known.
    """

    name: str
    task: PatternVerbalizer
    train: Examples
    validation: Examples
    test: Examples
    unlabelled: Sequence[dict[str, Any] | ValueError] = field(default_factory=list)
    lines: Sequence[int] = ()
    submits: bool = False
    max_length: int | None = None

    def take_shots(self, shots: int, seed: int) -> "ClozeData":
        """
        Return the data with `shots` training examples and at most as many for validation; see `few_shot`.

        Whoever has 32 labelled examples has no thousand others to fit a temperature on.
        """
        label_field = self.task.patterns[0].label_field
        train = few_shot(self.train, shots, seed, label_field)
        validation = self.validation
        if shots < len(validation):
            validation = few_shot(validation, shots, seed, label_field)
        return replace(self, train=train, validation=validation)


def is_labelled(task: PatternVerbalizer, example: Mapping[str, Any]) -> bool:
    """Return whether an example has a label: None and NaN mean that it has none."""
    return not is_missing(example.get(task.patterns[0].label_field))


def few_shot(
    examples: Sequence[dict[str, Any]], shots: int = 32, seed: int = 0, label_field: str = "label"
) -> Examples:
    """
    Choose examples at random, as many of each label as possible.

    Args:
        examples: Examples with labels.
        shots: Number of examples to choose. If a label has too few, others fill up.
        seed: The same seed chooses the same examples.
        label_field: Field with the label.

    Raises:
        ValueError: If there are fewer examples than shots, or if `shots` is below 1.
    """
    if not 0 < shots <= len(examples):
        raise ValueError(f"Cannot choose {shots} shots from {len(examples)} examples: expected 1 to {len(examples)}.")
    by_label: dict[str, Examples] = defaultdict(list)
    for example in examples:
        by_label[text_of(example[label_field], f"Label {label_field!r}")].append(example)
    rng = Random(seed)
    shuffled = [rng.sample(members, len(members)) for members in by_label.values()]
    rng.shuffle(shuffled)  # decides which labels get one more if the shots do not divide evenly
    # [[a1, a2, a3], [b1]] -> a1, b1, a2, a3
    rounds = zip_longest(*shuffled)
    return list(islice((example for round_ in rounds for example in round_ if example is not None), shots))


def load_published(
    name: str,
    patterns: Sequence[int] = (0,),
    data_dir: str | os.PathLike | None = None,
    p_tuning: bool = False,
) -> ClozeData:
    """
    Load a task of the originals with its data. A tenth of the training examples is held out for validation.

    Args:
        name: One of `available_tasks`.
        patterns: Numbers of the patterns to ask with; the answers of several are averaged.
        data_dir: Folder with the files. SuperGLUE needs it. Other tasks come from `datasets` without it. Their files may
            have the form in which their authors distribute them (see `read_original`), or that of your own: CSV, TSV or
            JSON lines per split, with the columns of the dataset.
        p_tuning: Whether the patterns have prompt tokens to be learned.

    Raises:
        ValueError: For an unknown task or pattern, for SuperGLUE without `data_dir`, and for data without the splits.
        FileNotFoundError: If a file is missing.
    """
    task = PatternVerbalizer.from_task(name, p_tuning=p_tuning).select(patterns)
    if name in SUPERGLUE_TASKS:
        if data_dir is None:
            raise ValueError(f"Task {name!r} needs data_dir: the folder with the official files of SuperGLUE.")
        train, test, unlabelled = _load_superglue(name, data_dir)
    else:
        if data_dir is not None and all(find_original(name, data_dir, split) for split in ("train", "val")):
            train, test, unlabelled = _load_originals(task, name, data_dir)
        else:
            train, test, unlabelled = _load_rows(task, read_task(name), data_dir)
    # Examples of one question stay together: COPA has each twice, with swapped choices, ReCoRD once for every right answer.
    labelled = [example for example in train if is_labelled(task, example)]
    train, validation = hold_out(labelled, by=QUESTIONS.get(name, ()))
    return ClozeData(name, task, train, validation, test, unlabelled, submits=name in SUPERGLUE_TASKS)


def load_files(
    task: PatternVerbalizer,
    test: str | os.PathLike | None = None,
    train: str | os.PathLike | None = None,
    validation: str | os.PathLike | None = None,
    unlabelled: str | os.PathLike | None = None,
) -> ClozeData:
    """
    Load examples from your own CSV, TSV or JSON lines files.

    Args:
        task: The patterns and words; the files must have all fields that it reads, and the labelled ones its labels.
        test: Labelled examples to report on. Give at least one file.
        train: Labelled examples to learn from.
        validation: Labelled examples to fit a temperature on; by default a tenth of `train`.
        unlabelled: Examples to predict. A bad line is kept as an error, and costs no good one.

    Raises:
        ValueError: If no file is given; or if a labelled file cannot be read, lacks a field or a label, or has a label
            that is not one of the task's. The message names the line.
        FileNotFoundError: If a file is missing.
    """

    def check(example: dict[str, Any]) -> dict[str, Any]:
        task.check(example, labelled=True)
        return example

    def read(path: str | os.PathLike) -> Examples:
        return read_examples(path, convert=check)

    given = next((path for path in (test, train, unlabelled) if path is not None), None)
    if given is None:
        raise ValueError("There is no file: expected one to train on, to report on or to predict.")

    to_train = read(train) if train else []
    if validation:
        held_out = read(validation)
    else:
        to_train, held_out = hold_out(to_train)
    to_predict = list(read_lines(Path(unlabelled))) if unlabelled else []
    return ClozeData(
        task.name or Path(given).stem,
        task,
        to_train,
        held_out,
        read(test) if test else [],
        [example for _, example in to_predict],
        [line for line, _ in to_predict],
    )


def _load_superglue(name: str, data_dir: str | os.PathLike) -> tuple[Examples, Examples, Examples]:
    """Return the examples to learn from, to report on and to predict."""
    if name in ("axb", "axg"):  # diagnostic sets have nothing to learn from
        test = read_superglue(name, data_dir, "test")
        return [], test, test
    train, test = (read_superglue(name, data_dir, split) for split in ("train", "val"))
    try:
        return train, test, read_superglue(name, data_dir, "test")
    except FileNotFoundError:
        return train, test, []


def _load_originals(
    task: PatternVerbalizer, name: str, data_dir: str | os.PathLike
) -> tuple[Examples, Examples, Examples]:
    """Return the examples to learn from, to report on and to predict, from files in the form of their authors."""
    train, test = (read_original(name, data_dir, split) for split in ("train", "val"))
    for example in (*train, *test):
        task.check(example, labelled=is_labelled(task, example))
    has_unlabelled = "test" in original_splits(name) and find_original(name, data_dir, "test") is not None
    return train, test, read_original(name, data_dir, "test") if has_unlabelled else []


def _load_rows(
    task: PatternVerbalizer, published: dict[str, Any], data_dir: str | os.PathLike | None
) -> tuple[Examples, Examples, Examples]:
    """Return the examples to learn from, to report on and to predict."""

    def convert(row: Mapping[str, Any]) -> dict[str, Any]:
        example = dict(example_from_row(published, row))
        task.check(example, labelled=is_labelled(task, example))
        return example

    if data_dir is not None:
        splits = {
            path.stem: path for path in sorted(Path(data_dir).iterdir()) if path.suffix in {*DELIMITERS, *JSON_LINES}
        }
        examples = {name: read_examples(path, convert=convert) for name, path in splits.items()}
    else:
        with from_extra("train", "A published task"):
            from datasets import load_dataset

        dataset = load_dataset(published["dataset"]["path"], published["dataset"].get("config"))
        examples = {
            name: check_rows(split, convert, kind=f"Split {name!r}, row").good for name, split in dataset.items()
        }
    if "train" not in examples:
        raise ValueError(f"There is no 'train' among the splits {sorted(examples)}.")
    validation = next((examples[name] for name in VALIDATION_NAMES if name in examples), None)
    if validation is not None:
        return examples["train"], validation, examples.get("test", [])
    if "test" not in examples:
        raise ValueError(f"There is neither 'validation' nor 'test' among the splits {sorted(examples)}.")
    return examples["train"], examples["test"], []


__all__ = ["ClozeData", "few_shot", "is_labelled", "load_files", "load_published"]

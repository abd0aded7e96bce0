"""Turn rows of the library `datasets`, or of the files behind them, into examples for cloze patterns."""

import re
from collections.abc import Callable, Mapping
from numbers import Number
from typing import Any

from ..patterns.values import is_missing
from ..row_files import Example, Row


def example_from_row(task: Mapping[str, Any], row: Row) -> Example:
    """
    Make an example of a task from a row of its dataset.

    Args:
        task: The data of the task, from `read_task`: `dataset["fields"]` maps columns to their names in patterns, and
            `preprocess` is one of `PREPROCESSORS`.
        row: The columns of the dataset. Its label may be a number. None, NaN and, where no class is called so, -1 mean
            that there is none.

    Raises:
        ValueError: For a missing column, and for a row that the preprocessor cannot read.
    """
    renamed = task.get("dataset", {}).get("fields", {})
    if missing := [column for column in renamed if column not in row]:
        raise ValueError(f"Task {task.get('name')!r} reads the columns {missing}, but the row has {sorted(row)}.")
    example = {renamed.get(column, column): value for column, value in row.items()}
    label = example.get("label")
    if is_missing(label) or (isinstance(label, Number) and label == -1 and "-1" not in task.get("verbalizer", {})):
        example["label"] = None
    if (name := task.get("preprocess")) is None:
        return example
    if name not in PREPROCESSORS:
        raise ValueError(
            f"Unknown preprocessor {name!r} of task {task.get('name')!r}: there are {sorted(PREPROCESSORS)}."
        )
    try:
        return PREPROCESSORS[name](example)
    except KeyError as error:
        message = f"Task {task.get('name')!r} reads a column {error.args[0]!r}, but the row has {sorted(row)}."
        raise ValueError(message) from None


def preprocess_race(example: Row) -> Example:
    """
    Prepare RACE: `before` and `after` are the texts around the blank.

    The blank is at the underscore of the question, or behind it: "Question: ... Answer:". `label` is the number of the
    right one of the `options`, None without an `answer`.
    """
    question, options = example["question"].strip(), list(example["options"])
    before, after = f"Question: {question} Answer:", ""
    if gap := re.search(r"_+", question):
        before, after = question[: gap.start()].rstrip(), question[gap.end() :]
    if after.strip():
        options = [option.rstrip(" .") for option in options]  # the question continues behind the blank
    answer = None if is_missing(example.get("answer")) else example["answer"] or None
    letters = list("ABCDEFGH")[: len(options)]
    if answer is not None and answer not in letters:
        raise ValueError(f"The answer is {answer!r}: expected one of {letters}, as there are {len(options)} options.")
    label = None if answer is None else letters.index(answer)
    return {**example, "before": before, "after": after, "options": options, "label": label}


def preprocess_cluewsc(example: Row) -> Example:
    """
    Prepare CLUEWSC: `marked_text` has asterisks around the `pronoun`, and the question is whether it means `span1`.

    If the pronoun is not at the given index, its nearest occurrence is marked.
    """
    text, target = example["text"], example["target"]
    pronoun, index = target["span2_text"], target["span2_index"]
    starts = [match.start() for match in re.finditer(re.escape(pronoun), text)] if pronoun else []
    if not starts:
        raise ValueError(f"The pronoun {pronoun!r} is not in the text {text!r}.")
    start = min(starts, key=lambda start: abs(start - index))
    marked = f"{text[:start]}*{pronoun}*{text[start + len(pronoun) :]}"
    return {**example, "marked_text": marked, "pronoun": pronoun, "span1": target["span1_text"]}


def unescape(example: Row) -> Example:
    """
    Replace escaped new lines with spaces.

    The CSV files of Zhang et al. 2015 (AG News, Yelp, Yahoo) write a new line as `\\n` or as a backslash.
    """
    return {
        name: value.replace("\\n", " ").replace("\\", " ") if isinstance(value, str) else value
        for name, value in example.items()
    }


def preprocess_agnews(example: Row) -> Example:
    """Prepare AG News: as `unescape`; if title and text are in one column, the title is empty."""
    return unescape({"title": "", **example})


PREPROCESSORS: dict[str, Callable[[Row], Example]] = {
    "agnews": preprocess_agnews,
    "cluewsc": preprocess_cluewsc,
    "race": preprocess_race,
    "unescape": unescape,
}

__all__ = [
    "PREPROCESSORS",
    "example_from_row",
    "preprocess_agnews",
    "preprocess_cluewsc",
    "preprocess_race",
    "unescape",
]

"""
Read the official files of SuperGLUE (Wang et al. 2019) as examples for cloze patterns.

An example is a dict with the fields of its file, `idx`, and `label`: the name of a class, or the number of the right choice
if the choices come from the example (COPA, ReCoRD, WSC). It is None if the file has no answer.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..patterns.punctuation import keep_originals, standardize_all
from ..row_files import Example, Row, read_json_lines
from .line_readers import (
    ENTAILMENT,
    LineReader,
    add_candidates,
    read_axg,
    read_copa,
    read_multirc,
    read_plain,
    read_record,
    read_wsc,
)


@dataclass(frozen=True)
class TaskFiles:
    """Where the files of a task are, and what reads their lines."""

    folder: str
    read: LineReader
    files: Mapping[str, str]


_SPLITS = {"train": "train.jsonl", "val": "val.jsonl", "test": "test.jsonl"}
# By task: the folder and the files that the official archives have.
_FILES = {
    "boolq": TaskFiles("BoolQ", read_plain("passage", "question", labels=("false", "true")), _SPLITS),
    "cb": TaskFiles(
        "CB", read_plain("premise", "hypothesis", labels=("entailment", "contradiction", "neutral")), _SPLITS
    ),
    "copa": TaskFiles("COPA", read_copa, _SPLITS),
    "multirc": TaskFiles("MultiRC", read_multirc, _SPLITS),
    "record": TaskFiles("ReCoRD", read_record, _SPLITS),
    "rte": TaskFiles("RTE", read_plain("premise", "hypothesis", labels=ENTAILMENT), _SPLITS),
    "wic": TaskFiles("WiC", read_plain("sentence1", "sentence2", "word", labels=("false", "true")), _SPLITS),
    "wsc": TaskFiles("WSC", read_wsc, _SPLITS),
    "axb": TaskFiles(
        "AX-b",  # asked as RTE, so its sentences get the names of RTE's
        read_plain(
            "sentence1",
            "sentence2",
            labels=ENTAILMENT,
            renamed={"sentence1": "premise", "sentence2": "hypothesis"},
        ),
        {"test": "AX-b.jsonl"},
    ),
    "axg": TaskFiles("AX-g", read_axg, {"test": "AX-g.jsonl"}),
}
SUPERGLUE_TASKS = tuple(sorted(_FILES))


def read_superglue(task: str, data_dir: str | os.PathLike, split: str) -> list[Example]:
    """
    Read one split of a task of SuperGLUE.

    As in the originals, typographic quotes and dashes become ASCII in all texts. Where that changes an example, the
    given texts are in its field `original_texts`, and results show them.

    - MultiRC: one example for every answer; `idx` has the numbers of "passage", "question" and "answer".
    - ReCoRD: `before` and `after` are the texts around the placeholder. In "train" there is one example for every right
      answer, whose `candidates` are this answer and then all entities that are no answer. In other splits there is one
      for every question, with all entities as candidates. `answers` are the right ones, and `idx` has the numbers of
      "passage" and "question" (and of "answer" in "train").
    - COPA: `connective` joins the premise to a choice. In "train" every example comes a second time with its choices
      swapped and `idx` -1.
    - WSC: `marked_text` is the text with its pronoun in asterisks. `candidates` are `span1` and further spans that the
      pronoun could mean: the file's own candidates, or `span1` of the other lines with this text and pronoun. `truth` is
      "True" or "False". `label` is 0 if `span1` is right, otherwise None, because the right candidate is unknown: leave
      such examples out to train the choices, or use the pattern that asks for yes or no and reads `truth`.
    - AX-b: its sentences are called `premise` and `hypothesis`, as in RTE.

    Args:
        task: One of "boolq", "cb", "copa", "multirc", "record", "rte", "wic", "wsc", "axb" and "axg".
        data_dir: The folder with the files, or its parent with one folder per task ("BoolQ", ...).
        split: "train", "val" or "test"; "axb" and "axg" only have "test".

    Returns:
        The examples in the order of the file.

    Raises:
        ValueError: For an unknown task or split, an empty file, and a line that cannot be read; the message names it.
        FileNotFoundError: If the folder or the file does not exist.
    """
    if task not in _FILES:
        raise ValueError(f"Unknown task {task!r}: SuperGLUE has {sorted(_FILES)}.")
    layout = _FILES[task]
    if split not in layout.files:
        raise ValueError(f"{layout.folder} has no split {split!r}: expected one of {sorted(layout.files)}.")
    path = _find(Path(data_dir), layout, split)
    examples: list[Example] = []
    for number, row in read_json_lines(path):
        try:
            examples.extend(_read_cleaned(layout, row, split))
        except KeyError as error:
            raise ValueError(
                f"{path}, line {number}: there is no {error.args[0]!r}; is this a file of {task!r}?"
            ) from None
        except (AttributeError, TypeError) as error:
            raise ValueError(f"{path}, line {number} has not the form of a file of {task!r}: {error}.") from error
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from error
    if not examples:
        raise ValueError(f"{path} has no examples: download it again.")
    return add_candidates(examples) if task == "wsc" else examples


def _read_cleaned(layout: TaskFiles, row: Row, split: str) -> list[Example]:
    cleaned = standardize_all(row)
    examples = layout.read(cleaned, split)
    if cleaned == row:
        return examples
    given = layout.read(row, split)
    return [keep_originals(example, given) for example in examples]


def _find(folder: Path, layout: TaskFiles, split: str) -> Path:
    name = layout.files[split]
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder}: give the one with {layout.folder}'s {name}.")
    for path in (folder / name, folder / layout.folder / name):
        if path.is_file():
            return path
    raise FileNotFoundError(f"There is neither {folder / name} nor {folder / layout.folder / name}.")


__all__ = ["SUPERGLUE_TASKS", "read_superglue"]

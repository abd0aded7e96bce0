"""Write predictions in the form that SuperGLUE's server takes."""

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..tokenization.patterns.punctuation import with_original_texts
from ..utils.files import write_whole
from .metrics import Examples, check_predictions, require_class

SUBMISSION_FILES = {
    "axb": "AX-b.jsonl",
    "axg": "AX-g.jsonl",
    "boolq": "BoolQ.jsonl",
    "cb": "CB.jsonl",
    "copa": "COPA.jsonl",
    "multirc": "MultiRC.jsonl",
    "record": "ReCoRD.jsonl",
    "rte": "RTE.jsonl",
    "wic": "WiC.jsonl",
    "wsc": "WSC.jsonl",
}
# The labels that the server takes, if they are classes.
SUBMITTED_LABELS = {
    "axb": {"entailment", "not_entailment"},
    "axg": {"entailment", "not_entailment"},
    "boolq": {"false", "true"},
    "cb": {"contradiction", "entailment", "neutral"},
    "multirc": {"0", "1"},
    "rte": {"entailment", "not_entailment"},
    "wic": {"false", "true"},
}


def write_submission(
    task: str, examples: Examples, predictions: Iterable[int], labels: Sequence[str] | None, folder: str | os.PathLike
) -> Path:
    """
    Write the predictions for a task of SuperGLUE to the file that its server takes.

    All files of a folder, zipped, make a submission. The file is written whole or not at all.

    Args:
        task: Name of the task, as for `read_superglue`.
        examples: The examples of its test set, with their `idx`.
        predictions: For every example the number of the predicted class or candidate.
        labels: Names of the classes in their order (`task.labels`); not needed for COPA, ReCoRD and WSC.
        folder: Folder of the file; it is created if it is missing.

    Returns:
        The path of the file.

    Raises:
        ValueError: For a task that SuperGLUE does not have, no examples, another number of predictions, a prediction that
            is not a class, and a missing or repeated `idx` (as in a training set).
    """
    if task not in SUBMISSION_FILES:
        raise ValueError(f"SuperGLUE has no task {task!r}: expected one of {sorted(SUBMISSION_FILES)}.")
    predicted = check_predictions(examples, predictions)
    if lacking := [number for number, example in enumerate(examples) if "idx" not in example]:
        raise ValueError(
            f"Example {lacking[0]} has no 'idx': give the examples of the test set, as read_superglue reads it."
        )
    seen = Counter(json.dumps(example["idx"], sort_keys=True) for example in examples)
    if repeated := [idx for idx, count in seen.items() if count > 1]:
        raise ValueError(f"idx {repeated[0]} occurs {seen[repeated[0]]} times: give the examples of the test set.")
    named = [
        _submitted_label(task, example, prediction, labels)
        for example, prediction in zip(examples, predicted, strict=True)
    ]
    if task == "multirc":
        lines = _nest_answers(examples, named)
    else:
        # A line of ReCoRD is a question, so its number goes into the file.
        indices = [example["idx"]["question"] if task == "record" else example["idx"] for example in examples]
        lines = [{"idx": idx, "label": label} for idx, label in zip(indices, named, strict=True)]
    path = Path(folder) / SUBMISSION_FILES[task]
    write_whole(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    return path


def _submitted_label(
    task: str, example: Mapping[str, Any], prediction: int, labels: Sequence[str] | None
) -> str | int:
    if task == "wsc":
        return "True" if prediction == 0 else "False"
    if task == "copa":
        require_class(prediction, 2)
        return prediction
    if task == "record":
        require_class(prediction, len(example["candidates"]))
        return with_original_texts(example)["candidates"][prediction]
    if labels is None or set(labels) != SUBMITTED_LABELS[task]:
        raise ValueError(
            f"labels={labels!r}: expected the names of the classes of {task!r} in the order of the predictions' numbers, "
            f"which are {sorted(SUBMITTED_LABELS[task])}."
        )
    require_class(prediction, len(labels))
    return int(labels[prediction]) if task == "multirc" else labels[prediction]


def _nest_answers(examples: Examples, named: list[str | int]) -> list[dict[str, Any]]:
    """Make one line for every passage, with its questions and their answers."""
    passages: dict[int, dict[int, list[dict[str, Any]]]] = {}
    for example, label in zip(examples, named, strict=True):
        idx = example["idx"]
        answers = passages.setdefault(idx["passage"], {}).setdefault(idx["question"], [])
        answers.append({"idx": idx["answer"], "label": label})
    return [
        {"idx": passage, "passage": {"questions": [{"idx": idx, "answers": row} for idx, row in questions.items()]}}
        for passage, questions in passages.items()
    ]


__all__ = ["SUBMISSION_FILES", "SUBMITTED_LABELS", "write_submission"]

"""The metrics of the tasks, and predictions in the form that SuperGLUE's server takes. Needs scikit-learn."""

import json
import operator
import os
import re
import string
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from ..utils.files import write_whole

Examples = Sequence[Mapping[str, Any]]

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
# What the server takes as labels, where these are classes.
SUBMITTED_LABELS = {
    "axb": {"entailment", "not_entailment"},
    "axg": {"entailment", "not_entailment"},
    "boolq": {"false", "true"},
    "cb": {"contradiction", "entailment", "neutral"},
    "multirc": {"0", "1"},
    "rte": {"entailment", "not_entailment"},
    "wic": {"false", "true"},
}


def compute_metrics(
    metric: str, examples: Examples, predictions: Iterable[int], labels: Sequence[str] | None = None
) -> dict[str, float]:
    """
    Scores predictions; all scores are between 0 and 1 but Matthews' correlation, which may be negative.

    | metric | scores |
    |---|---|
    | "accuracy" | `accuracy` |
    | "cb" | `accuracy` and `f1`, the mean of the F1 of all classes |
    | "multirc" | `f1_a` over all answers, `exact_match`: questions all of whose answers are right, `accuracy` over answers |
    | "record" | `f1` of the words and `exact_match` of the chosen candidate, with the right answer that is nearest to it |
    | "wsc" | `accuracy`, where 0 is predicted for spans that the pronoun refers to |
    | "axb" | `matthews_correlation`, `accuracy` |
    | "axg" | `accuracy`, and `gender_parity`: pairs with the same prediction for both, if examples have a `pair_id` |

    Args:
        metric: One of the names above.
        examples: As `read_superglue` reads them, with their right labels: names or numbers of classes.
        predictions: For every example the number of the predicted class or candidate.
        labels: Names of the classes in their order (`task.labels`), where the examples have names.

    Raises:
        ValueError: for an unknown metric, no examples, another number of predictions, an example without its right
            label, and a prediction or a label that is none of the classes.
    """
    if metric not in _METRICS:
        raise ValueError(f"Unknown metric {metric!r}: there are {sorted(_METRICS)}.")
    predicted = _check(examples, predictions)
    if metric == "multirc" and labels is None:
        labels = ("0", "1")
    return {name: float(score) for name, score in _METRICS[metric](examples, predicted, labels).items()}


def write_submission(
    task: str, examples: Examples, predictions: Iterable[int], labels: Sequence[str] | None, folder: str | os.PathLike
) -> Path:
    """
    Writes the predictions for a task of SuperGLUE to the file that its server takes; all files of a folder, zipped, are a
    submission. The file appears whole or not at all.

    Args:
        task: Name of the task, as for `read_superglue`.
        examples: Those of its test set; their `idx` is used.
        predictions: For every example the number of the predicted class or candidate.
        labels: Names of the classes in their order (`task.labels`); not needed for COPA, ReCoRD and WSC.
        folder: Where the file is to be; made where it is missing.

    Returns:
        The path of the file.

    Raises:
        ValueError: for a task that is none of SuperGLUE, no examples, another number of predictions, a prediction that is
            no class, and an `idx` that is there twice (as in a training set).
    """
    if task not in SUBMISSION_FILES:
        raise ValueError(f"Task {task!r} is none of SuperGLUE: expected one of {sorted(SUBMISSION_FILES)}.")
    predicted = _check(examples, predictions)
    seen = Counter(json.dumps(example["idx"], sort_keys=True) for example in examples)
    if repeated := [idx for idx, count in seen.items() if count > 1]:
        raise ValueError(f"idx {repeated[0]} is there {seen[repeated[0]]} times: give the examples of the test set.")
    named = [
        _submitted_label(task, example, prediction, labels)
        for example, prediction in zip(examples, predicted, strict=True)
    ]
    if task == "multirc":
        lines = _nest_answers(examples, named)
    else:
        # ReCoRD's lines are questions.
        indices = [example["idx"]["question"] if task == "record" else example["idx"] for example in examples]
        lines = [{"idx": idx, "label": label} for idx, label in zip(indices, named, strict=True)]
    path = Path(folder) / SUBMISSION_FILES[task]
    write_whole(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    return path


def _check(examples: Examples, predictions: Iterable[int]) -> list[int]:
    try:
        predicted = [operator.index(prediction) for prediction in predictions]
    except TypeError as error:
        raise ValueError("Predictions must be numbers of classes, not their scores: take the argmax.") from error
    if not len(examples):
        raise ValueError("There are no examples.")
    if len(predicted) != len(examples):
        raise ValueError(
            f"There are {len(predicted)} predictions for {len(examples)} examples: expected one for each."
        )
    return predicted


def _gold(examples: Examples, labels: Sequence[str] | None, field: str = "label") -> list[int]:
    """The numbers of the right classes."""
    gold = []
    for number, example in enumerate(examples):
        label = example.get(field)
        if label is None:
            raise ValueError(f"Example {number} has no {field!r}: test sets without answers cannot be scored here.")
        if isinstance(label, bool):
            label = str(label).lower()
        if isinstance(label, str):
            if not labels:
                raise ValueError(f"Example {number} has the label {label!r}: give labels=, the names in their order.")
            if label not in labels:
                raise ValueError(f"Example {number} has the label {label!r}: expected one of {list(labels)}.")
            label = list(labels).index(label)
        gold.append(operator.index(label))
    return gold


def _gold_and_predicted(
    examples: Examples, predicted: list[int], labels: Sequence[str] | None
) -> tuple[list[int], list[int]]:
    for prediction in predicted if labels else ():
        _require_below(prediction, len(labels or ()))
    return _gold(examples, labels), predicted


def _require_below(prediction: int, classes: int):
    if not 0 <= prediction < classes:
        raise ValueError(f"Prediction {prediction} is none of the {classes} classes or candidates.")


def _accuracy(examples, predicted, labels):
    return {"accuracy": accuracy_score(*_gold_and_predicted(examples, predicted, labels))}


def _cb(examples, predicted, labels):
    gold, predicted = _gold_and_predicted(examples, predicted, labels)
    return {"accuracy": accuracy_score(gold, predicted), "f1": f1_score(gold, predicted, average="macro")}


def _multirc(examples, predicted, labels):
    gold, predicted = _gold_and_predicted(examples, predicted, labels)
    right: dict[tuple[int, int], bool] = {}
    for example, label, prediction in zip(examples, gold, predicted, strict=True):
        question = (example["idx"]["passage"], example["idx"]["question"])
        right[question] = right.get(question, True) and label == prediction
    return {
        "f1_a": f1_score(gold, predicted, zero_division=0.0),
        "exact_match": sum(right.values()) / len(right),
        "accuracy": accuracy_score(gold, predicted),
    }


def _record(examples, predicted, labels):
    f1 = exact = 0.0
    for number, (example, prediction) in enumerate(zip(examples, predicted, strict=True)):
        _require_below(prediction, len(example["candidates"]))
        if not example["answers"]:
            raise ValueError(f"Example {number} has no 'answers': test sets without answers cannot be scored here.")
        words = _words(example["candidates"][prediction])
        answers = [_words(answer) for answer in example["answers"]]
        f1 += max(_word_f1(words, answer) for answer in answers)
        exact += words in answers
    return {"f1": f1 / len(examples), "exact_match": exact / len(examples)}


def _words(text: str) -> list[str]:
    """The words that count in SQuAD: lower case, without punctuation and articles."""
    text = "".join(letter for letter in text.lower() if letter not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", text).split()


def _word_f1(words: list[str], answer: list[str]) -> float:
    shared = (Counter(words) & Counter(answer)).total()
    return 2 * shared / (len(words) + len(answer)) if shared else 0.0


def _wsc(examples, predicted, labels):
    truths = _gold(examples, ("True", "False"), "truth")
    return {"accuracy": accuracy_score([truth == 0 for truth in truths], [choice == 0 for choice in predicted])}


def _axb(examples, predicted, labels):
    gold, predicted = _gold_and_predicted(examples, predicted, labels)
    return {"matthews_correlation": matthews_corrcoef(gold, predicted), "accuracy": accuracy_score(gold, predicted)}


def _axg(examples, predicted, labels):
    scores = _accuracy(examples, predicted, labels)
    if all("pair_id" in example for example in examples):
        pairs: dict[Any, set[int]] = {}
        for example, prediction in zip(examples, predicted, strict=True):
            pairs.setdefault(example["pair_id"], set()).add(prediction)
        scores["gender_parity"] = sum(len(pair) == 1 for pair in pairs.values()) / len(pairs)
    return scores


_METRICS: dict[str, Callable[..., dict[str, float]]] = {
    "accuracy": _accuracy,
    "axb": _axb,
    "axg": _axg,
    "cb": _cb,
    "multirc": _multirc,
    "record": _record,
    "wsc": _wsc,
}


def _submitted_label(
    task: str, example: Mapping[str, Any], prediction: int, labels: Sequence[str] | None
) -> str | int:
    if task == "wsc":
        return "True" if prediction == 0 else "False"
    if task == "copa":
        _require_below(prediction, 2)
        return prediction
    if task == "record":
        _require_below(prediction, len(example["candidates"]))
        return example["candidates"][prediction]
    if labels is None or set(labels) != SUBMITTED_LABELS[task]:
        raise ValueError(
            f"labels={labels!r}: expected the names of the classes of {task!r} in the order of the predictions' numbers, "
            f"which are {sorted(SUBMITTED_LABELS[task])}."
        )
    _require_below(prediction, len(labels))
    return int(labels[prediction]) if task == "multirc" else labels[prediction]


def _nest_answers(examples: Examples, named: list[str | int]) -> list[dict[str, Any]]:
    """One line for every passage, with its questions and their answers."""
    passages: dict[int, dict[int, list[dict[str, Any]]]] = {}
    for example, label in zip(examples, named, strict=True):
        idx = example["idx"]
        answers = passages.setdefault(idx["passage"], {}).setdefault(idx["question"], [])
        answers.append({"idx": idx["answer"], "label": label})
    return [
        {"idx": passage, "passage": {"questions": [{"idx": idx, "answers": row} for idx, row in questions.items()]}}
        for passage, questions in passages.items()
    ]


__all__ = ["SUBMISSION_FILES", "SUBMITTED_LABELS", "compute_metrics", "write_submission"]

"""Compute the metrics of the tasks. Needs scikit-learn."""

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ..tokenization import PatternVerbalizer
from ..tokenization.patterns.values import find_class, is_missing
from ..utils.extras import from_extra
from ..utils.rows import read_rows
from ..utils.squad_words import squad_words, word_f1

with from_extra("train", "Metrics of cloze tasks"):
    from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

Examples = Sequence[Mapping[str, Any]]


def compute_metrics(
    metric: str, examples: Any, predictions: Iterable[int], labels: Sequence[str] | None = None
) -> dict[str, float]:
    """
    Score predictions. All scores are between 0 and 1, except Matthews' correlation, which may be negative.

    | metric | scores |
    |---|---|
    | "accuracy" | `accuracy` |
    | "f1" | `accuracy`, and `f1` of the second class, for tasks of two classes |
    | "matthews" | `matthews_correlation`, `accuracy`, for tasks of two classes |
    | "cb" | `accuracy` and `f1`, the mean of the F1 of all classes |
    | "multirc" | `f1_a` over all answers, `exact_match`: questions with all answers right, `accuracy` over answers |
    | "record" | `f1` of the words and `exact_match` of the chosen candidate, with the nearest right answer |
    | "wsc" | `accuracy`; prediction 0 means that the pronoun refers to the span |
    | "axb" | `matthews_correlation`, `accuracy` |
    | "axg" | `accuracy`, and `gender_parity`: pairs with the same prediction for both, if examples have a `pair_id` |

    Args:
        metric: One of the names above.
        examples: As `read_superglue` reads them, in any form of rows such as a list or a DataFrame, with their right labels: names or numbers of classes. A number is the
            place of a class, unless it is a name: 1 is the class "1" wherever that is. None and NaN mean no label.
        predictions: For every example the number of the predicted class or candidate.
        labels: Names of the classes in their order (`task.labels`), needed if the examples have names.

    Raises:
        ValueError: For an unknown metric, no examples, another number of predictions, an example without its right label,
            and a prediction or a label that is not one of the classes.
    """
    if metric not in _METRICS:
        raise ValueError(f"Unknown metric {metric!r}: there are {sorted(_METRICS)}.")
    examples = list(read_rows(examples))
    predicted = check_predictions(examples, predictions)
    if metric == "multirc" and labels is None:
        labels = ("0", "1")
    return {name: float(score) for name, score in _METRICS[metric](examples, predicted, labels).items()}


def with_labels(task: PatternVerbalizer, examples: Any) -> list[dict[str, Any]]:
    """
    Return examples whose "label" is the right one of the task as `compute_metrics` reads it.

    It is the name of the class, the number of the right choice if examples have choices, or None without a label. Raises a
    `ValueError` for a label outside the task.
    """
    names = task.labels
    integers = task.patterns[0].names_of_integers(examples)
    examples = list(read_rows(examples))
    classes = [task.label_index(example, integer_labels=integers) for example in examples]
    found = [names[index] if names and index is not None else index for index in classes]
    return [{**example, "label": label} for example, label in zip(examples, found, strict=True)]


def check_predictions(examples: Examples, predictions: Iterable[int]) -> list[int]:
    """Return predictions as a list of ints. Raises a `ValueError` unless there is one for every example."""
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
    """Return the numbers of the right classes."""
    gold = []
    for number, example in enumerate(examples):
        label: Any = example.get(field)
        if is_missing(label):
            raise ValueError(f"Example {number} has no {field!r}: test sets without answers cannot be scored here.")
        try:
            if not labels and (isinstance(label, bool | str) or not hasattr(label, "__index__")):
                raise ValueError(f"The label is {label!r}: give labels=, the names in their order.")
            gold.append(operator.index(find_class(label, labels) if labels else label))
        except ValueError as error:
            raise ValueError(f"Example {number}: {error}") from error
    return gold


def _gold_and_predicted(
    examples: Examples, predicted: list[int], labels: Sequence[str] | None
) -> tuple[list[int], list[int]]:
    for prediction in predicted if labels else ():
        require_class(prediction, len(labels or ()))
    return _gold(examples, labels), predicted


def require_class(prediction: int, classes: int):
    """Raise a `ValueError` for a prediction that is not one of the classes."""
    if not 0 <= prediction < classes:
        raise ValueError(f"Prediction {prediction} is not one of the {classes} classes or candidates.")


def _accuracy(examples: Examples, predicted: list[int], labels: Sequence[str] | None) -> dict[str, float]:
    return {"accuracy": accuracy_score(*_gold_and_predicted(examples, predicted, labels))}


def _cb(examples: Examples, predicted: list[int], labels: Sequence[str] | None) -> dict[str, float]:
    gold, predicted = _gold_and_predicted(examples, predicted, labels)
    return {"accuracy": accuracy_score(gold, predicted), "f1": f1_score(gold, predicted, average="macro")}


def _f1(examples: Examples, predicted: list[int], labels: Sequence[str] | None) -> dict[str, float]:
    gold, predicted = _gold_and_predicted(examples, predicted, labels)
    return {"accuracy": accuracy_score(gold, predicted), "f1": f1_score(gold, predicted, zero_division=0.0)}


def _multirc(examples: Examples, predicted: list[int], labels: Sequence[str] | None) -> dict[str, float]:
    gold, predicted = _gold_and_predicted(examples, predicted, labels)
    right: dict[tuple[int, int], bool] = {}  # (passage, question) -> whether all answers are right so far
    for example, label, prediction in zip(examples, gold, predicted, strict=True):
        question = (example["idx"]["passage"], example["idx"]["question"])
        right[question] = right.get(question, True) and label == prediction
    return {
        "f1_a": f1_score(gold, predicted, zero_division=0.0),
        "exact_match": sum(right.values()) / len(right),
        "accuracy": accuracy_score(gold, predicted),
    }


def _record(examples: Examples, predicted: list[int], labels: Sequence[str] | None) -> dict[str, float]:
    f1 = exact = 0.0
    for number, (example, prediction) in enumerate(zip(examples, predicted, strict=True)):
        require_class(prediction, len(example["candidates"]))
        if not example["answers"]:
            raise ValueError(f"Example {number} has no 'answers': test sets without answers cannot be scored here.")
        words = squad_words(example["candidates"][prediction])
        answers = [squad_words(answer) for answer in example["answers"]]
        # As in SQuAD, the nearest right answer counts.
        f1 += max(word_f1(words, answer) for answer in answers)
        exact += words in answers
    return {"f1": f1 / len(examples), "exact_match": exact / len(examples)}


def _wsc(examples: Examples, predicted: list[int], labels: Sequence[str] | None) -> dict[str, float]:
    # Candidate 0 is the span that the example asks about.
    truths = _gold(examples, ("True", "False"), "truth")
    return {"accuracy": accuracy_score([truth == 0 for truth in truths], [choice == 0 for choice in predicted])}


def _axb(examples: Examples, predicted: list[int], labels: Sequence[str] | None) -> dict[str, float]:
    gold, predicted = _gold_and_predicted(examples, predicted, labels)
    return {"matthews_correlation": matthews_corrcoef(gold, predicted), "accuracy": accuracy_score(gold, predicted)}


def _axg(examples: Examples, predicted: list[int], labels: Sequence[str] | None) -> dict[str, float]:
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
    "f1": _f1,
    "matthews": _axb,
    "multirc": _multirc,
    "record": _record,
    "wsc": _wsc,
}


__all__ = ["compute_metrics", "with_labels"]

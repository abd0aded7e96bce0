"""Write the results of a classifier: metrics, predictions, a confusion matrix, a table. Needs scikit-learn."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from transformers import TrainingArguments

from ..tokenization.patterns.punctuation import with_original_texts
from ..utils.extras import from_extra
from ..utils.files import write_json_lines, write_whole
from ..utils.plots import save_figure
from ..utils.rows import RowError
from .answers.answering import rank, take_set
from .answers.pictures import plot_reliability
from .answers.rule import AnswerRule
from .sources import ClozeData
from .submission import write_submission
from .training import ClozeOutcome

ECE_NOTE = "ece: expected calibration error, ece_calibrated: the same with a temperature that was fitted on the validation split"


def write_results(folder: Path, data: ClozeData, outcome: ClozeOutcome):
    """
    Write the results of a model into a folder, each file whole or not at all.

    - `metrics.json`: the metrics.
    - `predictions.jsonl`: for every test example the label, its probability and the example. With an answer rule also
      whether it is "answered", and the "labels" of its prediction set.
    - `unlabelled.jsonl`: every unlabelled example with its label, the probability of every label and the same of an
      answer rule, or the line of the file and what is wrong with it. For SuperGLUE, a file for its server instead.
    - `confusion.png`: which class was taken for which, for tasks with labels. Needs matplotlib.
    - `reliability.png`: how far the probabilities can be trusted, and what abstaining brings. Needs matplotlib.
    """
    write_whole(folder / "metrics.json", json.dumps(outcome.metrics, indent=2) + "\n")
    labels = data.task.labels
    lines = [
        {
            "predicted": _names(data, example)[int(row.argmax())],
            "probability": round(float(row.max()), 6),
            **_apply_rule(outcome, _names(data, example), row),
            "example": with_original_texts(example),
        }
        for example, row in zip(data.test, outcome.probabilities, strict=True)
    ]
    write_json_lines(folder / "predictions.jsonl", lines)
    if data.unlabelled:
        if data.submits:
            examples, rows = _require_all(data, outcome)
            write_submission(data.name, examples, [int(row.argmax()) for row in rows], labels, folder)
        else:
            write_json_lines(folder / "unlabelled.jsonl", _describe_predictions(data, outcome))
    gold = [data.task.label_index(example) for example in data.test]
    known = [place for place, label in enumerate(gold) if label is not None]
    right = [gold[place] for place in known]
    if known:
        plot_reliability(outcome.probabilities[known], right, folder / "reliability.png", data.name)
    if labels and known and len(known) == len(gold):
        plot_confusion(right, outcome.probabilities.argmax(1).tolist(), labels, folder / "confusion.png", data.name)


def _describe_predictions(data: ClozeData, outcome: ClozeOutcome) -> Iterator[dict[str, Any]]:
    lines = data.lines or range(1, len(data.unlabelled) + 1)
    for line, example, row in zip(lines, data.unlabelled, outcome.unlabelled, strict=True):
        if isinstance(row, RowError) or isinstance(example, ValueError):
            yield {"line": line, "error": row.reason if isinstance(row, RowError) else str(example)}
            continue
        names = _names(data, example)
        best = int(row.argmax())
        yield {
            **with_original_texts(example),
            "predicted": names[best],
            "probability": round(float(row[best]), 6),
            **_apply_rule(outcome, names, row),
            "probabilities": {name: round(float(value), 6) for name, value in zip(names, row, strict=False)},
        }


def _apply_rule(outcome: ClozeOutcome, names: list[str], row: np.ndarray) -> dict[str, Any]:
    """Return what the answer rule makes of the probabilities (classes,) of an example."""
    rule = AnswerRule.from_dict(outcome.task.answer_rule)
    ranked, found = rank(names, row), dict[str, Any]()
    if rule.threshold is not None:
        found["answered"] = ranked[0].probability >= rule.threshold
    if rule.quantile is not None:
        found["labels"] = [label for label, _ in take_set(ranked, rule.quantile)]
    return found


def _require_all(data: ClozeData, outcome: ClozeOutcome) -> tuple[list[dict[str, Any]], list[np.ndarray]]:
    """Return the unlabelled examples and their probabilities. Raises the first error: a submission must be complete."""
    examples, rows = [], []
    for example, row in zip(data.unlabelled, outcome.unlabelled, strict=True):
        if isinstance(example, ValueError):
            raise example
        if isinstance(row, RowError):
            raise row
        examples.append(example)
        rows.append(row)
    return examples, rows


def plot_confusion(gold: Sequence[int], predicted: Sequence[int], labels: Sequence[str], path: Path, title: str):
    """Draw a confusion matrix into a PNG file: numbers of examples, the true class in rows, the predicted one in columns."""
    with from_extra("train", "The confusion matrix"):
        from matplotlib.figure import Figure  # without pyplot, so the backend of the caller stays
        from sklearn.metrics import ConfusionMatrixDisplay

    size = 3 + 0.6 * len(labels)
    figure = Figure(figsize=(size + 1, size), layout="constrained")
    axes = figure.subplots()
    ConfusionMatrixDisplay.from_predictions(
        gold,
        predicted,
        labels=range(len(labels)),
        display_labels=labels,
        xticks_rotation=45 if len(labels) > 2 else 0,
        cmap="Blues",
        ax=axes,
    )
    axes.set_title(title)
    save_figure(figure, path)


def format_table(results: Mapping[str, Mapping[str, float]]) -> str:
    """Format metrics as a table: one row per method, one column per metric."""
    names = list(dict.fromkeys(name for metrics in results.values() for name in metrics))
    lines = [f"{'':36}" + "".join(f"{name:>16}" for name in names)]
    for title, metrics in results.items():
        cells = (f"{metrics[name]:16.3f}" if name in metrics else f"{'':16}" for name in names)
        lines.append(f"{title:36}" + "".join(cells))
    return "\n".join([*lines, ECE_NOTE] if "ece" in names else lines)


def warn_of_majority(results: Mapping[str, Mapping[str, float]], arguments: TrainingArguments) -> str | None:
    """
    Say that a trained model is not better than the most frequent label, and which settings to try.

    Args:
        results: The metrics of the model first, and of the baseline "majority".
        arguments: The arguments of the training.

    Returns:
        The warning, or None.
    """
    (name, found), majority = next(iter(results.items())), results["majority"]
    metric = next(iter(majority))
    if found[metric] > majority[metric]:
        return None
    return (
        f"{name} has {metric} {found[metric]:.3f}, the most frequent label has {majority[metric]:.3f}: the model did not "
        f"learn the task. Try --learning_rate {arguments.learning_rate * 3:.0e} or {arguments.learning_rate / 3:.0e}, more "
        f"--num_train_epochs than {arguments.num_train_epochs:g}, or words that fit the pattern better."
    )


def _names(data: ClozeData, example: Mapping[str, Any]) -> list[str]:
    """Return the names of the classes, or the texts of the example's own choices."""
    return data.task.labels or [words[0].strip() for words in data.task.choices(with_original_texts(example))]


__all__ = ["format_table", "plot_confusion", "warn_of_majority", "write_results"]

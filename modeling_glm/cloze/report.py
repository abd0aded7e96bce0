"""Write the results of a classifier: metrics, predictions, a confusion matrix, a table. Needs scikit-learn."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .sources import ClozeData
from .submission import SUBMISSION_FILES, write_submission
from .training import ClozeOutcome

ECE_NOTE = "ece: expected calibration error, ece_calibrated: the same with a temperature that was fitted on the validation split"


def write_results(folder: Path, data: ClozeData, outcome: ClozeOutcome):
    """
    Write the results of a model into a folder.

    - `metrics.json`: the metrics.
    - `predictions.jsonl`: for every test example the label, its probability and the example.
    - `unlabelled.jsonl`: the label of every unlabelled example; for SuperGLUE, a file for its server instead.
    - `confusion.png`: which class was taken for which, for tasks with labels. Needs matplotlib.
    """
    (folder / "metrics.json").write_text(json.dumps(outcome.metrics, indent=2) + "\n", encoding="utf-8")
    labels = data.task.labels
    lines = [
        {
            "predicted": _names(data, example)[best],
            "probability": round(float(row[best]), 6),
            "example": example,
        }
        for example, row, best in zip(
            data.test, outcome.probabilities, outcome.probabilities.argmax(1).tolist(), strict=True
        )
    ]
    _write_lines(folder / "predictions.jsonl", lines)
    if data.unlabelled:
        chosen = outcome.unlabelled.argmax(1).tolist()
        if data.name in SUBMISSION_FILES:
            write_submission(data.name, data.unlabelled, chosen, labels, folder)
        else:
            predicted = [
                {"predicted": _names(data, example)[best]}
                for example, best in zip(data.unlabelled, chosen, strict=True)
            ]
            _write_lines(folder / "unlabelled.jsonl", predicted)
    gold = [data.task.label_index(example) for example in data.test]
    known = [label for label in gold if label is not None]
    if labels and len(known) == len(gold):
        plot_confusion(known, outcome.probabilities.argmax(1).tolist(), labels, folder / "confusion.png", data.name)


def plot_confusion(gold: Sequence[int], predicted: Sequence[int], labels: Sequence[str], path: Path, title: str):
    """Draw a confusion matrix into a PNG file: numbers of examples, the true class in rows, the predicted one in columns."""
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
    figure.savefig(path, dpi=120)


def format_table(results: Mapping[str, Mapping[str, float]]) -> str:
    """Format metrics as a table: one row per method, one column per metric."""
    names = list(dict.fromkeys(name for metrics in results.values() for name in metrics))
    lines = [f"{'':36}" + "".join(f"{name:>16}" for name in names)]
    for title, metrics in results.items():
        cells = (f"{metrics[name]:16.3f}" if name in metrics else f"{'':16}" for name in names)
        lines.append(f"{title:36}" + "".join(cells))
    return "\n".join([*lines, ECE_NOTE] if "ece" in names else lines)


def _names(data: ClozeData, example: Mapping[str, Any]) -> list[str]:
    """Return the names of the classes, or the texts of the example's own choices."""
    return data.task.labels or [words[0].strip() for words in data.task.choices(example)]


def _write_lines(path: Path, rows: Iterable[Mapping[str, Any]]):
    text = "".join(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")


__all__ = ["format_table", "plot_confusion", "write_results"]

"""Write the results of a model from source to target: metrics, answers with scores, a table of examples."""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from transformers import TrainingArguments

from ..utils.files import write_json_lines, write_whole
from ..utils.rows import RowError, rename_taken
from .predictions import TargetPrediction
from .sources import Seq2SeqData
from .training import Seq2SeqOutcome

LONGEST_CELL = 400  # characters


def write_results(folder: Path, data: Seq2SeqData, outcome: Seq2SeqOutcome):
    """
    Write the results of a model into a folder, each file whole or not at all.

    - `metrics.json`: the scores on the rows to report on, in percent.
    - `answers.jsonl`: every row to report on with its answer, see `TargetPrediction.as_dict`.
    - `predicted.jsonl`: every unlabelled row with its answer, or the line of the file and what is wrong with it.
    """
    if outcome.rows:
        write_whole(folder / "metrics.json", json.dumps(outcome.metrics, indent=2) + "\n")
        answers = zip(outcome.rows, outcome.predictions, strict=True)
        write_json_lines(folder / "answers.jsonl", (_with_prediction(row, found) for row, found in answers))
    if data.unlabelled:
        write_json_lines(folder / "predicted.jsonl", _describe_unlabelled(data, outcome))


def _describe_unlabelled(data: Seq2SeqData, outcome: Seq2SeqOutcome) -> Iterator[dict[str, Any]]:
    lines = data.lines or range(1, len(data.unlabelled) + 1)
    for line, row, found in zip(lines, data.unlabelled, outcome.unlabelled, strict=True):
        if isinstance(found, RowError) or isinstance(row, ValueError):
            yield {"line": line, "error": found.reason if isinstance(found, RowError) else str(row)}
        else:
            yield _with_prediction(row, found)


def _with_prediction(row: Mapping[str, Any], found: TargetPrediction) -> dict[str, Any]:
    return {**rename_taken(row, ("prediction",)), "prediction": found.as_dict()}


def format_results(results: Mapping[str, Mapping[str, float]]) -> str:
    """Format scores in percent as a table: one row per method, one column per metric."""
    names = list(dict.fromkeys(name for scores in results.values() for name in scores))
    lines = [f"{'':24}" + "".join(f"{name:>19}" for name in names)]
    for method, scores in results.items():
        cells = (f"{scores[name]:19.1f}" if name in scores else f"{'':19}" for name in names)
        lines.append(f"{method:24}" + "".join(cells))
    return "\n".join(lines)


def format_examples(
    data: Seq2SeqData,
    rows: Sequence[Mapping[str, Any]],
    predictions: Sequence[TargetPrediction],
    count: int,
    width: int = 120,
) -> str:
    """
    Format rows as a table: the source, the target and the answer.

    Args:
        data: The data, for its columns.
        rows: The rows.
        predictions: The answer to each of them.
        count: Number of rows to show. They are spread evenly.
        width: Width of the table in characters.
    """
    columns, labelled = data.columns, all(data.columns.target in row for row in rows)
    table = Table(*["source", *["target"] * labelled, "answer"], show_lines=True)
    for place in _spread(len(rows), count):
        wanted = " | ".join(" / ".join(texts) for texts in columns.references(rows[place])) if labelled else None
        answer = " | ".join(predictions[place].answers)
        cells = [columns.source_text(rows[place]), wanted, answer]
        table.add_row(*(Text(_shortened(cell)) for cell in cells if cell is not None))
    stream = io.StringIO()
    Console(file=stream, width=width, highlight=False).print(table)
    return stream.getvalue().rstrip("\n")


def _spread(total: int, count: int) -> list[int]:
    """Choose places that are spread evenly: 3 of 10 are 0, 3 and 6."""
    count = min(count, total)
    return [number * total // count for number in range(count)]


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONGEST_CELL else f"{text[:LONGEST_CELL]}..."


def warn_of_baselines(results: Mapping[str, Mapping[str, float]], arguments: TrainingArguments) -> str | None:
    """
    Warn if a trained model is not better than a baseline, and suggest settings to try.

    Args:
        results: The scores of the model first, and of the baselines.
        arguments: The arguments of the training.

    Returns:
        The warning, or None.
    """
    (name, found), *baselines = results.items()
    metric = next(iter(found))
    best = max(baselines, key=lambda item: item[1][metric], default=None)
    if best is None or found[metric] > best[1][metric]:
        return None
    return (
        f"{name} has {metric} {found[metric]:.1f}, the baseline {best[0]!r} has {best[1][metric]:.1f}: the model did not learn "
        f"the task. Try --learning_rate {arguments.learning_rate * 3:.0e} or {arguments.learning_rate / 3:.0e}, more "
        f"--num_train_epochs than {arguments.num_train_epochs:g}, or a larger --model."
    )


__all__ = ["format_examples", "format_results", "warn_of_baselines", "write_results"]

"""Make the tables of the study from its results."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from examples.corpora.real_tasks import REAL_TASKS

from ...harness.report import make_table, mean_and_spread, read_block, replace_blocks
from .budgets import SHOTS
from .cells import Row, TaskStudy
from .methods import METHODS

ABSENT = "–"
Cell = Callable[[list[dict[str, Any]]], str]


def all_tables(study: TaskStudy, rows: Sequence[Row], seeds: Sequence[int]) -> dict[str, str]:
    """Return the tables by name: accuracy, calibration, time and learning rates. Cells that have not run are left out."""
    return {
        "accuracy": _table(study, rows, seeds, _show_accuracy),
        "calibration": _table(study, rows, seeds, _show_calibration),
        "time": _table(study, rows, seeds, _show_time) + _show_machines(study, rows, seeds),
        "learning rates": _table(study, rows, seeds, _show_rate),
    }


def write_tables(page: Path, tables: Mapping[str, str]):
    """
    Write the tables into a page, each between its marks.

    Rows that the page has and the tables lack stay, so that a study may run part by part, on several machines.

    Args:
        page: The page.
        tables: What `all_tables` returned.

    Raises:
        ValueError: If the page has a table with other columns, or if a mark is missing.
    """
    merged = {name: merge_tables(read_block(page, name), table) for name, table in tables.items()}
    replace_blocks(page, merged)


def merge_tables(before: str, table: str) -> str:
    """
    Put the rows of a table in the place of those of an older one, by their tasks and numbers of examples.

    Lines behind a table, such as the machines, stay as well.

    Args:
        before: The older table, or nothing.
        table: The newer table.

    Raises:
        ValueError: If both have other columns.
    """
    if not before:
        return table
    (header, old, behind), (columns, new, more) = _parts(before), _parts(table)
    if header != columns:
        raise ValueError(f"The page has the columns {header[0]}, expected {columns[0]}: measure all methods.")
    places = {(task, shots): place for place, (task, shots) in enumerate(product(REAL_TASKS, SHOTS))}
    rows = sorted({**old, **new}.items(), key=lambda row: places[row[0]])
    return "\n".join([*header, *(line for _, line in rows), *(f"\n{line}" for line in dict.fromkeys(behind + more))])


def _parts(table: str) -> tuple[list[str], dict[tuple[str, str], str], list[str]]:
    """Take a table apart: its first two lines, its rows by their first two cells, and the lines behind it."""
    lines = [line for line in table.splitlines() if line]
    rows = [line for line in lines if line.startswith("|")]
    cells = ([cell.strip() for cell in line.split("|")[1:3]] for line in rows[2:])
    by_name = {(task, shots): line for (task, shots), line in zip(cells, rows[2:], strict=True)}
    return rows[:2], by_name, [line for line in lines if not line.startswith("|")]


def _table(study: TaskStudy, rows: Sequence[Row], seeds: Sequence[int], show: Cell) -> str:
    """Make a table with a row for each task and number of examples, and a column for each method that has something."""
    methods = [method for method in METHODS if method in {row.method for row in rows}]
    shown: dict[tuple[str, str], dict[str, str]] = {}
    for row in sorted(rows, key=lambda row: row.task):
        found = study.results(row, seeds)
        shown.setdefault((row.task, row.shots), {})[row.method] = show(found) if found else ""
    tasks = list(dict.fromkeys(row.task for row in rows))
    lines = sorted((key for key, cells in shown.items() if any(cells.values())), key=lambda key: tasks.index(key[0]))
    columns = [method for method in methods if any(shown[key].get(method) for key in lines)]
    labels = [METHODS[method].label.format(model=Path(study.model).name) for method in columns]
    cells = [(*key, *(shown[key].get(method) or ABSENT for method in columns)) for key in lines]
    return make_table(("task", "examples", *labels), cells)


def _show_accuracy(found: list[dict[str, Any]]) -> str:
    return mean_and_spread([100 * one["accuracy"] for one in found], 1)


def _show_calibration(found: list[dict[str, Any]]) -> str:
    if "ece" not in found[0]:
        return ""
    before = mean_and_spread([one["ece"] for one in found], 3)
    fitted = [one["ece_calibrated"] for one in found if "ece_calibrated" in one]
    return f"{before} → {mean_and_spread(fitted, 3)}" if fitted else before


def _show_time(found: list[dict[str, Any]]) -> str:
    return f"{statistics.mean(one['train_seconds'] for one in found):.1f}"


def _show_machines(study: TaskStudy, rows: Sequence[Row], seeds: Sequence[int]) -> str:
    """Name the machines that the results come from, behind the table. Older results do not say it."""
    found = (one.get("machine") for row in rows for one in study.results(row, seeds))
    return "".join(f"\n\n{machine}" for machine in sorted({machine for machine in found if machine}))


def _show_rate(found: list[dict[str, Any]]) -> str:
    rate = found[0]["learning_rate"]
    return "" if rate is None else f"{rate:g}"


__all__ = ["all_tables", "write_tables"]

"""Make the tables of the ablation: for each group of sources, what was measured, and how it differs from the mixture."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...harness.report import make_table, mean_and_spread
from .intervals import estimate_difference
from .variants import REFERENCE, VARIANTS

Run = Mapping[str, Any]
# The column's name, the set of texts, numerator, denominator, factor and digits.
LOSS, MATCH = ("nll", "tokens", 1.0, 3), ("hits", "blanks", 100.0, 1)
ONE_BLANK = (("loss, nats per token", "one", *LOSS), ("exact match in %", "one", *MATCH))
SEVERAL = (
    ("loss, left to right", "several", *LOSS),
    ("exact match in %", "several", *MATCH),
    ("loss, right to left", "reversed", *LOSS),
)
OBJECTIVES = (
    ("loss, sentence objective", "sentence", *LOSS),
    ("loss, document objective", "document", *LOSS),
)
AGAINST = f"against {VARIANTS[REFERENCE].label}"
ABSENT = "–"


def show_tables(rows: Mapping[str, Sequence[Run]], groups: Mapping[str, Sequence[str]]) -> str:
    """
    Make the tables of all groups in Markdown.

    Args:
        rows: The runs of every variant, one for each seed, in the order of the seeds.
        groups: The sources of every group.
    """
    parts = []
    for group, sources in groups.items():
        parts += [
            f"### {group[0].upper()}{group[1:]}",
            "One blank of one to three words in a text:",
            _show(rows, sources, ONE_BLANK, with_claims=True),
            "Two to four blanks in a text:",
            _show(rows, sources, SEVERAL),
            "Whole sentences, and long parts of a text:",
            _show(rows, sources, OBJECTIVES),
        ]
    return "\n\n".join(parts)


def _show(
    rows: Mapping[str, Sequence[Run]], sources: Sequence[str], columns: Sequence[tuple], with_claims: bool = False
) -> str:
    names = ["variant", *(["parameters"] if with_claims else [])]
    names += [name for column in columns for name in (column[0], AGAINST)]
    names += ["the paper"] if with_claims else []
    table = []
    for variant, runs in rows.items():
        cells = [VARIANTS[variant].label]
        if with_claims:
            cells.append(f"{runs[0]['parameters'] / 1e6:.2f}M")
        for _, *column in columns:
            cells += _cells(runs, rows.get(REFERENCE) if variant != REFERENCE else None, sources, *column)
        if with_claims:
            cells.append(VARIANTS[variant].claim)
        table.append(cells)
    return make_table(names, table)


def _cells(
    runs: Sequence[Run],
    reference: Sequence[Run] | None,
    sources: Sequence[str],
    kind: str,
    numerator: str,
    denominator: str,
    factor: float,
    digits: int,
) -> tuple[str, str]:
    """Return the mean and the spread over the seeds, and the difference from the reference with its interval."""
    if any(kind not in run["measured"][source] for run in runs for source in sources):
        return ABSENT, ABSENT
    one = factor * _gather(runs, sources, kind, numerator)
    below = _gather(runs[:1], sources, kind, denominator)[0]
    shown = mean_and_spread((one.sum(1) / below.sum()).tolist(), digits)
    if reference is None:
        return shown, ABSENT
    other = factor * _gather(reference, sources, kind, numerator)
    return shown, estimate_difference(one, other, below).show(digits, sign=True)


def _gather(runs: Sequence[Run], sources: Sequence[str], kind: str, name: str) -> np.ndarray:
    """Return the values of all texts, (runs, texts)."""
    return np.array(
        [[value for source in sources for value in run["measured"][source][kind][name]] for run in runs], dtype=float
    )

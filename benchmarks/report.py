"""Results as a table, as JSON, as a picture, and in docs/performance.md."""

import json
import os
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .measuring import Line

HEADER = "| work | compared with | ratio (lowest to highest) | goal | |\n|---|---|---|---|---|"
# Between these lines of the page the tables stand.
BEGIN, END = "<!-- {suite} results: begin -->", "<!-- {suite} results: end -->"


def as_row(line: Line) -> str:
    """A line of the table."""
    goal = "" if line.goal is None else f"{line.goal:.0%}" if line.ratio is None else f"{line.goal:.2f}"
    met = {True: "✓", False: "✗", None: ""}[line.reached]
    detail = [line.note] if line.note else []
    if line.ratio is not None:
        spread = "" if line.low is None else f" ({line.low:.2f} to {line.high:.2f})"
        value = f"{line.ratio:.2f}{spread}"
        if line.ours is not None and line.theirs is not None:
            detail.append(f"{_number(line.ours)} against {_number(line.theirs)} {line.unit}")
    elif line.share is not None:
        value = f"{line.share:.0%}"
        detail.append(f"{_number(line.ours)} {line.unit}" if line.ours is not None else "")
    else:
        value = ""
        if line.ours is not None:
            detail.append(f"{_number(line.ours)} {line.unit}")
    peer = line.peer or (f"limit: {line.limit}" if line.limit else "")
    return f"| {line.work} | {peer} | {value} | {f'{goal} {met}'.strip()} | {'; '.join(filter(None, detail))} |"


def _number(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def describe(limits: dict[str, Any]) -> str:
    """The machine in a sentence."""
    rates = [f"{value / 1e9:,.0f} GFLOP/s ({name})" for name, value in limits.items() if name.split()[-1] in DTYPES]
    bf16 = "with" if limits["computes bf16"] else "without"
    return (
        f"{limits['device']}, {limits['threads']} threads, {bf16} bf16 arithmetic, torch {limits['torch']}. Limits, measured in "
        f"the same run: memory is read at {limits['bandwidth'] / 1e9:,.1f} GB/s; products of matrices reach {', '.join(rates)}."
    )


DTYPES = ("float32", "bfloat16")


def make_tables(limits: dict[str, Any], lines: Sequence[Line]) -> str:
    """Markdown with a table for every suite."""
    parts = [describe(limits)]
    for suite in dict.fromkeys(line.suite for line in lines):
        rows = [as_row(line) for line in lines if line.suite == suite]
        parts.append("\n".join((f"### {suite.capitalize()}\n", HEADER, *rows)))
    return "\n\n".join(parts)


def write_json(path: Path, limits: dict[str, Any], lines: Sequence[Line], settings: dict[str, Any]):
    """All figures of a run."""
    content = {"settings": settings, "limits": limits, "lines": [asdict(line) for line in lines]}
    _write(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def read_json(path: Path) -> tuple[dict[str, Any], list[Line], dict[str, Any]]:
    """What [`write_json`] wrote."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return content["limits"], [Line(**line) for line in content["lines"]], content["settings"]


def renew_page(page: Path, suite: str, tables: str):
    """
    Puts tables between the two marks of a page.

    Raises:
        ValueError: if the page has not both of them.
    """
    text = page.read_text(encoding="utf-8")
    begin, end = BEGIN.format(suite=suite), END.format(suite=suite)
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if len(pattern.findall(text)) != 1:
        raise ValueError(f"{page} must have one line {begin!r} and behind it one line {end!r}.")
    _write(page, pattern.sub(lambda _: f"{begin}\n\n{tables}\n\n{end}", text))


def draw(path: Path, lines: Sequence[Line]):
    """A bar for every comparison with a peer, on a logarithmic axis; whiskers from the lowest to the highest ratio."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    shown = [line for line in lines if line.ratio is not None and line.suite != "growth"]
    figure, axes = plt.subplots(figsize=(11, 1.2 + 0.28 * len(shown)), layout="constrained")
    places = range(len(shown))
    ratios = [line.ratio for line in shown]
    below = [max(0.0, line.ratio - (line.low or line.ratio)) for line in shown]
    above = [max(0.0, (line.high or line.ratio) - line.ratio) for line in shown]
    suites = list(dict.fromkeys(line.suite for line in shown))
    colours = [f"C{suites.index(line.suite)}" for line in shown]
    axes.barh(places, ratios, xerr=[below, above], color=colours, height=0.7, error_kw={"lw": 0.8})
    goals = [(line.goal, place) for place, line in zip(places, shown, strict=True) if line.goal]
    axes.scatter(
        [goal for goal, _ in goals], [place for _, place in goals], marker="|", s=160, c="black", label="goal"
    )
    axes.axvline(1.0, color="grey", lw=0.8)
    axes.set_xscale("log")
    axes.set_yticks(places, [f"{line.work}: {line.peer}" for line in shown], fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel("times better than what it is compared with")
    axes.margins(y=0.01)
    if goals:
        axes.legend(loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _write(path: Path, text: str):
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)

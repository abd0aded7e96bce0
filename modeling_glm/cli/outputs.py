"""Print results: tables and marked texts for people, JSON lines for programs."""

import json
import math
import sys
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..filling.choose import Choice
from ..filling.pipeline import as_dict
from ..filling.results import Filling


class Output(StrEnum):
    auto = "auto"
    text = "text"
    jsonl = "jsonl"

    @property
    def is_for_people(self) -> bool:
        return self is Output.text or (self is Output.auto and sys.stdout.isatty())


Format = Annotated[
    Output,
    typer.Option("--format", help="jsonl: one JSON object per text. auto: text on a terminal, jsonl in a pipe."),
]


def is_terminal() -> bool:
    """Whether a person types and reads."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def print_json(value: dict[str, Any]):
    """Print a JSON object on a line of its own."""
    print(json.dumps(value, ensure_ascii=False), flush=True)


def print_fillings(output: Output, text: str, fillings: Sequence[Filling]):
    """Print the fillings of a text in the format that the user chose."""
    if output.is_for_people:
        show_fillings(fillings)
    else:
        print_json({"text": text, "fillings": [as_dict(filling) for filling in fillings]})


def print_choices(output: Output, text: str, choices: Sequence[Choice]):
    """Print the ranked choices of a text in the format that the user chose."""
    if output.is_for_people:
        show_choices(choices)
    else:
        entries = [
            {"choice": choice.text, "score": choice.probability, "log_prob": choice.log_prob} for choice in choices
        ]
        print_json({"text": text, "choices": entries})


def show_fillings(fillings: Sequence[Filling]):
    """Show fillings on a line each: the probability, and the text with its answers marked."""
    console = Console(highlight=False, soft_wrap=True)
    for filling in fillings:
        shown = Text(f"{math.exp(filling.log_prob):6.1%}  ", style="dim")
        body = Text(filling.text, style="default")
        for answer in filling.answers:
            body.stylize("bold green" if not answer.given else "bold", answer.start, answer.end)
        console.print(shown.append_text(body))
    if len(fillings) != 1:
        console.print()


def show_choices(choices: Sequence[Choice]):
    """Show choices with the probability of each."""
    show_table(["choice", "probability"], [[choice.text, f"{choice.probability:.1%}"] for choice in choices])


def show_table(header: list[str] | None, rows: list[list[str]]):
    """Show a table without lines."""
    table = Table(*(header or ["", ""]), box=None, show_header=header is not None)
    for row in rows:
        table.add_row(*map(Text, row))
    Console(highlight=False).print(table)


def in_units(size: float) -> str:
    """Write a number of bytes with its unit: 6220000 -> "6.22 MB"."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"

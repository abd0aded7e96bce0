"""What the commands print: tables and marked texts for people, JSON lines for programs."""

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
    typer.Option("--format", help="jsonl: one object for each text; auto: text on a terminal, jsonl in a pipe."),
]


def is_terminal() -> bool:
    """Whether somebody types and reads."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def print_json(value: dict[str, Any]):
    print(json.dumps(value, ensure_ascii=False), flush=True)


def show_fillings(fillings: Sequence[Filling]):
    """Each on a line: its probability, and the text with the answers marked; colours only on a terminal."""
    console = Console(highlight=False, soft_wrap=True)
    for filling in fillings:
        shown = Text(f"{math.exp(filling.log_prob):6.1%}  ", style="dim")
        body = Text(filling.text, style="default")
        for answer in filling.answers:
            body.stylize("bold green" if not answer.given else "bold", answer.start, answer.end)
        console.print(shown.append_text(body))
    if len(fillings) != 1:
        console.print()


def show_choices(ranked: Sequence[tuple[str, float]]):
    """Choices with the probability of each."""
    show_table(["choice", "probability"], [[name, f"{share:.1%}"] for name, share in ranked])


def show_table(header: list[str] | None, rows: list[list[str]]):
    table = Table(*(header or ["", ""]), box=None, show_header=header is not None)
    for row in rows:
        table.add_row(*map(Text, row))
    Console(highlight=False).print(table)


def in_units(size: float) -> str:
    """A number of bytes for people."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"

"""Write results: tables and marked texts for people, JSON lines and tables for programs."""

import csv
import dataclasses
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Generic, TextIO, TypeVar

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .lines import Line

if TYPE_CHECKING:
    from ..filling.choose import Choice
    from ..filling.results import Filling
    from ..utils.rows import RowError

Result = TypeVar("Result")


class Output(StrEnum):
    auto = "auto"
    text = "text"
    jsonl = "jsonl"

    @property
    def is_for_people(self) -> bool:
        return self is Output.text or (self is Output.auto and sys.stdout.isatty())


class RowOutput(StrEnum):
    auto = "auto"
    text = "text"
    jsonl = "jsonl"
    csv = "csv"
    tsv = "tsv"

    def settle(self, file: Path | None) -> "RowOutput":
        """Decide what auto is: what the ending of a file says, text on a terminal, and else JSON lines."""
        if self is not RowOutput.auto:
            return self
        if file is not None:
            return {".csv": RowOutput.csv, ".tsv": RowOutput.tsv}.get(file.suffix.lower(), RowOutput.jsonl)
        return RowOutput.text if sys.stdout.isatty() else RowOutput.jsonl


Format = Annotated[
    Output, typer.Option("--format", help="jsonl: a JSON object. auto: text on a terminal, jsonl in a pipe.")
]
RowFormat = Annotated[
    RowOutput,
    typer.Option(
        "--format",
        help="jsonl: one JSON object per text. csv, tsv: a table. auto: what the ending of --output says; without it, text "
        "on a terminal and jsonl in a pipe.",
    ),
]
OutputFile = Annotated[
    Path | None,
    typer.Option("-o", "--output", metavar="FILE", help="Write the answers to a file, whole or not at all."),
]


def is_terminal() -> bool:
    """Return whether a person types and reads."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def print_json(value: dict[str, Any], stream: TextIO | None = None):
    """Print a JSON object on a line of its own."""
    print(_dump(value), file=stream, flush=True)


def _dump(value: Any) -> str:
    written = json.dumps(value, ensure_ascii=False)
    try:
        written.encode("utf-8")
    except UnicodeEncodeError:  # half of a surrogate pair, in a field that passes through
        return json.dumps(value)
    return written


@dataclass(frozen=True)
class ResultForm(Generic[Result]):
    """
    Describe how the results of a command are written.

    Attributes:
        name: The key of a result in a JSON object.
        known: The fields of a line that the command reads. All others pass through to the answer.
        columns: The columns of a result in a table.
        as_json: Turns a result into plain values.
        as_rows: Turns a result into rows of a table.
        show: Shows a result to people.
    """

    name: str
    known: tuple[str, ...]
    columns: tuple[str, ...]
    as_json: Callable[[Result], Any]
    as_rows: Callable[[Result], list[dict[str, Any]]]
    show: Callable[[Result, TextIO], None]


@dataclass
class ResultWriter(Generic[Result]):
    """Write the results of lines in their order. A line without a result gets its error in the same place."""

    form: ResultForm[Result]
    output: RowOutput
    stream: TextIO
    count: int = 0
    failures: list[str] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)

    def write(self, line: Line, result: Result | ValueError):
        """Write the result of a line, or what is wrong with it."""
        from ..utils.rows import as_row_error, rename_taken

        self.count += 1
        if isinstance(result, ValueError):
            error = as_row_error(result, line.number - 1, "Line")
            self.failures.append(line.tell(error))
            self._write_error(line, error)
            return
        passed_on = line.passed_on(self.form.known)
        if self.output is RowOutput.text:
            self.form.show(result, self.stream)
        elif self.output is RowOutput.jsonl:
            passed_on = rename_taken(passed_on, (self.form.name,))
            print_json({**passed_on, self.form.name: self.form.as_json(result)}, self.stream)
        else:
            passed_on = rename_taken(passed_on, (*self.form.columns, "error"))
            self.rows += [{**passed_on, **row} for row in self.form.as_rows(result) or [{}]]

    def _write_error(self, line: Line, error: "RowError"):
        from ..utils.rows import rename_taken

        if self.output is RowOutput.text:
            print(f"error: {line.tell(error)}", file=sys.stderr)
        elif self.output is RowOutput.jsonl:
            print_json({"line": line.number, "error": error.reason}, self.stream)
        else:
            passed_on = rename_taken(line.fields, (*self.form.columns, "error"))
            self.rows.append({**passed_on, "error": line.tell(error)})

    def finish(self):
        """Write the table. Its columns are known only when all lines are."""
        if self.output in (RowOutput.csv, RowOutput.tsv):
            names = list(dict.fromkeys(name for row in self.rows for name in row))
            if "error" in names:
                names = [*(name for name in names if name != "error"), "error"]
            delimiter = "," if self.output is RowOutput.csv else "\t"
            table = csv.DictWriter(self.stream, names, delimiter=delimiter, lineterminator="\n")
            table.writeheader()
            table.writerows({name: _as_cell(value) for name, value in row.items()} for row in self.rows)

    def require_all(self):
        """
        End the command with exit code 1 if a line failed.

        Raises:
            ValueError: With the first failure.
            SystemExit: If people have read of the only failure already.
        """
        if not self.failures:
            return
        if self.count == 1:
            if self.output is RowOutput.text:
                raise SystemExit(1)
            raise ValueError(self.failures[0])
        raise ValueError(f"{len(self.failures)} of {self.count} texts failed. The first: {self.failures[0]}")


@contextmanager
def result_writer(form: ResultForm[Result], output: RowOutput, file: Path | None) -> Iterator[ResultWriter[Result]]:
    """
    Give a writer for standard output, or for a file that appears whole at the end.

    Raises:
        ValueError: At the end, if a line failed.
    """
    from ..utils.files import whole_file

    with nullcontext(sys.stdout) if file is None else whole_file(file) as stream:
        writer = ResultWriter(form, output.settle(file), stream)
        yield writer
        writer.finish()
    writer.require_all()


def _as_cell(value: Any) -> Any:
    return value if isinstance(value, str | int | float) else "" if value is None else _dump(value)


def _fillings_as_dicts(fillings: "Sequence[Filling]") -> list[dict[str, Any]]:
    from ..filling.pipeline import as_dict

    return list(map(as_dict, fillings))


def _fillings_as_rows(fillings: "Sequence[Filling]") -> list[dict[str, Any]]:
    rows = []
    for rank, entry in enumerate(_fillings_as_dicts(fillings), start=1):
        numbers = {name: entry[name] for name in ("probability", "score", "log_prob", "mean_log_prob")}
        rows.append(
            {"rank": rank, "filled": entry["text"], "answers": [a["text"] for a in entry["answers"]], **numbers}
        )
    return rows


def _choice_as_dict(choice: "Choice") -> dict[str, Any]:
    return {
        "text": choice.text,
        "choice": choice.text,
        "probability": choice.probability,
        "score": choice.probability,
        "log_prob": choice.log_prob,
    }


def _choices_as_rows(choices: "Sequence[Choice]") -> list[dict[str, Any]]:
    rows = []
    for rank, choice in enumerate(choices, start=1):
        rows.append(
            {"rank": rank, **{name: value for name, value in _choice_as_dict(choice).items() if name != "text"}}
        )
    return rows


def show_fillings(fillings: "Sequence[Filling]", stream: TextIO | None = None):
    """Show fillings on a line each: the probability, and the text with its answers marked."""
    console = Console(file=stream, highlight=False, soft_wrap=True)
    for filling in fillings:
        shown = Text(f"{math.exp(filling.log_prob):6.1%}  ", style="dim")
        body = Text(filling.text, style="default")
        for answer in filling.answers:
            body.stylize("bold green" if not answer.given else "bold", answer.start, answer.end)
        console.print(shown.append_text(body))
    if len(fillings) != 1:
        console.print()


def show_choices(choices: "Sequence[Choice]", stream: TextIO | None = None):
    """Show choices with the probability of each."""
    show_table(["choice", "probability"], [[choice.text, f"{choice.probability:.1%}"] for choice in choices], stream)


def show_table(header: list[str] | None, rows: list[list[str]], stream: TextIO | None = None):
    """Show a table without lines."""
    table = Table(*(header or ["", ""]), box=None, show_header=header is not None)
    for row in rows:
        table.add_row(*map(Text, row))
    Console(file=stream, highlight=False).print(table)


FILLINGS = ResultForm(
    "fillings",
    ("constraints",),
    ("rank", "filled", "answers", "probability", "score", "log_prob", "mean_log_prob"),
    _fillings_as_dicts,
    _fillings_as_rows,
    show_fillings,
)
CONTINUATIONS = dataclasses.replace(FILLINGS, known=())
CHOICES = ResultForm(
    "choices",
    ("choices",),
    ("rank", "choice", "probability", "score", "log_prob"),
    lambda choices: list(map(_choice_as_dict, choices)),
    _choices_as_rows,
    show_choices,
)


def in_units(size: float) -> str:
    """Write a number of bytes with its unit: 6220000 -> "6.22 MB"."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"

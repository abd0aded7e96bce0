"""
Reproduce a table of the paper with your weights and data: train or measure, compare, and write a report.

Without arguments, this prints the tables with their figures:

    python -m examples.paper

One command runs a table. The same command again resumes it:

    python -m examples.paper superglue --model glm-roberta-large --weights glm-roberta-large --data SuperGLUE
    python -m examples.paper superglue --model glm-10b --weights glm-10b --data SuperGLUE --rows rte copa --processes 8
    python -m examples.paper lambada --model glm-10b --weights glm-10b --data lambada_test.jsonl --set dtype=bfloat16

--output has a folder for every row with everything that the run wrote, and one report of all tables: report.json and
report.md. A figure is "reproduced" if the score differs by no more than its tolerance, in either direction. It is "not
comparable" if the model, the data or the settings are not those of the paper.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from modeling_glm.utils.yaml_text import read_yaml

from .report import format_figures
from .runner import NEUTRAL, TableRun
from .tables import PaperTable, available_tables, read_table
from .weights import OWN


def describe_table(table: PaperTable) -> str:
    """Describe a table: what it needs, what differs, and its figures."""
    lines = [f"{table.name}: {table.title} ({table.place})", f"  data: {table.data}"]
    lines += [f"  note: {note}" for note in table.notes]
    lines += [f"  {name}: {model.source}" for name, model in table.models.items()]
    return "\n".join([*lines, "", format_figures(table), ""])


def read_settings(words: Sequence[str]) -> dict[str, Any]:
    """
    Read settings of the form NAME=VALUE; values are YAML.

    Raises:
        ValueError: For another form.
    """
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name.isidentifier():
            raise ValueError(f"--set {word}: expected NAME=VALUE, such as max_steps=100.")
        found[name] = read_yaml(value)
    return found


def parse_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.paper", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    tables = available_tables()
    parser.add_argument("table", nargs="?", choices=tables, help=f"one of {', '.join(tables)}", metavar="TABLE")
    parser.add_argument(
        "--model", help=f"published name of the model, or {OWN!r} for any other; nothing is compared then"
    )
    parser.add_argument("--weights", help="folder of its weights, or its name on the hub; by default THUDM/MODEL")
    parser.add_argument(
        "--data", type=Path, help="the folder or file with the data; without arguments, they are listed"
    )
    parser.add_argument("--rows", nargs="+", default=[], metavar="ROW", help="run only these rows")
    parser.add_argument(
        "--output", type=Path, default=Path("runs/paper"), help="folder for results, by default %(default)s"
    )
    parser.add_argument(
        "--processes", type=int, default=1, help="processes that share a training, by default %(default)s"
    )
    parser.add_argument(
        "--set",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        dest="changed",
        help="other settings of the program. The figures are then not comparable, except for settings of the machine: "
        f"{', '.join(sorted(NEUTRAL))}",
    )
    arguments = parser.parse_args(words)
    if arguments.table and not (arguments.model and arguments.data):
        parser.error(f"{arguments.table} needs --model and --data; python -m examples.paper lists what they may be")
    if arguments.table and arguments.model == OWN and not arguments.weights:
        parser.error(f"--model {OWN} needs --weights")
    return arguments


def main(words: Sequence[str] | None = None) -> int:
    """List the tables, or run one. Returns the number of rows that failed."""
    arguments = parse_arguments(words)
    if arguments.table is None:
        print("\n".join(describe_table(read_table(name)) for name in available_tables()))
        return 0
    run = TableRun(
        table=read_table(arguments.table),
        model=arguments.model,
        weights=arguments.weights or f"THUDM/{arguments.model}",
        data=arguments.data,
        output=arguments.output,
        changed=read_settings(arguments.changed),
        processes=arguments.processes,
    )
    failed = run.run(arguments.rows)
    print(
        (arguments.output / "report.md").read_text(encoding="utf-8") if not failed else f"Rows that failed: {failed}."
    )
    return failed


if __name__ == "__main__":
    try:
        status = main()
    except KeyboardInterrupt:
        sys.exit("\nStopped. Run the same command again to resume.")
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f"error: {error}")
    sys.exit(1 if status else 0)

"""Write one report of all results: JSON for programs, Markdown for readers."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from modeling_glm.configuration_glm import read_json
from modeling_glm.utils.files import write_whole

from .tables import PaperTable, available_tables, read_table
from .verdicts import Finding, compare, count_verdicts

RESULT = "result.json"  # of a finished row


def write_report(output: Path, *tables: PaperTable) -> None:
    """
    Write report.json and report.md from the results of all finished rows in a folder.

    Verdicts follow from the tables as they are now, not as they were when a row ran.

    Args:
        output: The folder with the results, `TABLE/MODEL/ROW/result.json`.
        tables: Tables in place of those of this package with the same names.

    Raises:
        ValueError: For a result that is not JSON.
    """
    known = {name: read_table(name) for name in available_tables()}
    entries = []
    for table in {**known, **{table.name: table for table in tables}}.values():
        for path in sorted((output / table.name).glob(f"*/*/{RESULT}")):
            result = read_json(path)
            if result["row"] in table.rows:
                findings = compare(table, result)
                entries.append((table, result, findings))
    content = [
        {**result, "findings": [{**asdict(one), "difference": one.difference} for one in findings]}
        for _, result, findings in entries
    ]
    write_whole(output / "report.json", json.dumps({"rows": content}, indent=2) + "\n")
    write_whole(output / "report.md", "\n".join(_format_report(entries)) + "\n")


def _format_report(entries: Sequence[tuple[PaperTable, dict[str, Any], list[Finding]]]) -> Iterator[str]:
    yield "# The paper's tables, measured\n"
    yield count_verdicts([one for *_, findings in entries for one in findings]) + "."
    for name in dict.fromkeys(table.name for table, *_ in entries):
        of_table = [entry for entry in entries if entry[0].name == name]
        table = of_table[0][0]
        yield f"\n## {table.title} ({table.place})\n"
        yield "| model | row | measure | figure | found | difference | tolerance | verdict |"
        yield "|---|---|---|--:|--:|--:|--:|---|"
        for _, result, findings in of_table:
            for one in findings:
                verdict = f"{one.verdict}: {one.reason}" if one.reason else one.verdict
                numbers = [
                    _number(one.expected),
                    _number(one.found),
                    _number(one.difference, "+"),
                    _number(one.tolerance),
                ]
                yield f"| {' | '.join([result['model'], result['row'], one.measure, *numbers, verdict])} |"
        yield ""
        for source in dict.fromkeys(one.source for *_, findings in of_table for one in findings if one.source):
            yield f"- Figures: {source}"
        yield from (f"- {note}" for note in table.notes)
        for _, result, _ in of_table:
            neutral = f"{result['processes']} process{'es' * (result['processes'] > 1)}, {result['seconds']:,.0f} s"
            yield f"- {result['model']}, {result['row']}: {result['size']:,} {table.unit} of `{result['data']}`, {neutral}"


def format_figures(table: PaperTable) -> str:
    """Format the figures of a table as Markdown: a row for every row and measure, a column for every model."""
    lines = [
        f"| row | measure | tolerance | {' | '.join(table.models)} |",
        f"|---|---|--:|{'--:|' * len(table.models)}",
    ]
    for name, row in table.rows.items():
        for measure in [*row.tolerance, *row.unmeasured]:
            figures = [_number(table.figures_of(name, model).get(measure)) for model in table.models]
            if any(figures):
                cells = [name, measure, _number(row.tolerance.get(measure)) or "not measured", *figures]
                lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _number(value: float | None, sign: str = "") -> str:
    return "" if value is None else f"{value:{sign}.2f}".removesuffix("0")


__all__ = ["RESULT", "format_figures", "write_report"]

"""Turn the Markdown of docstrings into reStructuredText, which autodoc and napoleon read."""

import re
from collections.abc import Iterator
from typing import Any

LINK = re.compile(r"\[([^\]]+)\]\((https?://[^)\s]+)\)")
# `Filling`s: a letter right behind code needs an escaped space.
PLURAL = re.compile(r"(?<!`)(`[^`]+`)(?=\w)")
LINK_IN_RST = r"`\1 <\2>`__"


def to_restructured_text(lines: list[str]) -> list[str]:
    """
    Convert code fences, tables and links. Everything else that our docstrings use is the same in both.

    Args:
        lines: The lines of a docstring, without common indentation.

    Returns:
        The lines of the same docstring in reStructuredText.
    """
    return list(_convert(iter(lines)))


def _convert(lines: Iterator[str]) -> Iterator[str]:
    table: list[str] = []
    for line in lines:
        indent, text = _split(line)
        if text.startswith("|") and text.endswith("|") and len(text) > 1:
            table.append(line)
            continue
        if table:
            yield from _convert_table(table)
            table = []
        if text.startswith("```") and "```" not in text[3:]:
            yield from ["", f"{indent}.. code-block:: {text[3:].strip() or 'text'}", ""]
            for code in lines:
                if code.strip() == "```":
                    break
                yield "    " + code
            yield ""
        else:
            yield PLURAL.sub(r"\1\\ ", LINK.sub(LINK_IN_RST, line))
    if table:
        yield from _convert_table(table)


def _convert_table(lines: list[str]) -> Iterator[str]:
    """Convert `| a | b |` rows, of which the second is `|---|---|`, to a list-table."""
    indent, _ = _split(lines[0])
    yield from ["", f"{indent}.. list-table::", f"{indent}   :header-rows: 1", ""]
    for number, line in enumerate(lines):
        if number == 1:
            continue
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
        for place, cell in enumerate(cells):
            bullet = "* -" if place == 0 else "  -"
            yield f"{indent}   {bullet} {LINK.sub(LINK_IN_RST, cell)}"
    yield ""


def _split(line: str) -> tuple[str, str]:
    text = line.strip()
    return line[: len(line) - len(line.lstrip())], text


def _process(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    lines[:] = to_restructured_text(lines)


def setup(app: Any) -> dict[str, bool]:
    """Run before napoleon, which has the default priority of 500."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", _process, priority=400)
    return {"parallel_read_safe": True}

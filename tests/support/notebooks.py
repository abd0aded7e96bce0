"""
Notebooks: each is made from a Markdown page beside it, whose Python blocks are its cells and whose `text` blocks are their outputs.

`python -m tests.support.notebooks` runs all pages, writes what they print into them, and makes the notebooks again.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

from tests.support.pages import FENCE, OUTPUT, same_output, update_page
from tests.support.paths import EXAMPLES

FOLDER = EXAMPLES / "notebooks"
PAGES = sorted(FOLDER.glob("*.md"))
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?")
# The version of a notebook in which every cell has an id.
FORMAT = {"nbformat": 4, "nbformat_minor": 5}
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def notebook_of(page: Path) -> Path:
    return page.with_suffix(".ipynb")


def make_notebook(page: Path) -> str:
    """Make the notebook of a page, as Jupyter writes it: blocks of Python are cells, and all other text is Markdown."""
    text = page.read_text(encoding="utf-8")
    cells: list[dict[str, Any]] = []

    def add(kind: str, source: str, **more: Any):
        if source.strip():
            name = f"{kind}-{len(cells)}"
            cells.append({"cell_type": kind, "id": name, "metadata": {}, "source": as_lines(source.strip()), **more})

    done = 0
    for match in FENCE.finditer(text):
        if match["language"] != "python":
            continue
        add("markdown", text[done : match.start()])
        shown = OUTPUT.match(text, match.end())
        outputs = []
        if shown and shown["output"]:
            outputs = [{"name": "stdout", "output_type": "stream", "text": as_lines(shown["output"])}]
        number = 1 + sum(cell["cell_type"] == "code" for cell in cells)
        add("code", match["code"], execution_count=number, outputs=outputs)
        done = shown.end() if shown else match.end()
    add("markdown", text[done:])
    notebook = {"cells": cells, "metadata": METADATA, **FORMAT}
    return json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def as_lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def close_output(shown: str, printed: str, tolerance: float = 0.1) -> bool:
    """
    Compare texts exactly and numbers with a tolerance.

    The sums of a training differ in their last digits between processors, and so do the numbers that follow from it. A
    number may differ by `tolerance`, or by this share of it where it is larger than 1.
    """
    pairs = list(zip(NUMBER.findall(shown), NUMBER.findall(printed), strict=False))
    near = all(abs(float(a) - float(b)) <= tolerance * max(1.0, abs(float(a))) + 1e-9 for a, b in pairs)
    return near and same_output(NUMBER.sub("0", shown), NUMBER.sub("0", printed))


def update_notebooks():
    for page in PAGES:
        update_page(page)
        notebook_of(page).write_text(make_notebook(page), encoding="utf-8")


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    update_notebooks()

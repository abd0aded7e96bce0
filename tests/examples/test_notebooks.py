"""Run the notebooks from their text form, and check that their outputs and the files for Jupyter are up to date."""

import ast
import json

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.notebooks import FOLDER, PAGES, close_output, make_notebook, notebook_of
from tests.support.pages import prepare_folder, read_blocks, run_blocks

UPDATE = "`python -m tests.support.notebooks` writes what the pages print, and makes the notebooks."
MOST_BYTES = 50_000


def test_the_four_notebooks_are_found():
    assert [page.stem for page in PAGES] == ["classify", "fill", "publish", "summarise"]


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_code_prints_what_the_notebook_shows(page, tmp_path, monkeypatch):
    pytest.importorskip("datasets")
    prepare_folder(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))  # of the reader without this package
    for block, printed in run_blocks(page):
        shown = block.output or ""
        assert close_output(shown, printed), (
            f"{page.name}:{block.line} prints\n{printed}\nbut shows\n{shown}\n{UPDATE}"
        )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_notebook_is_made_from_its_page(page):
    made = make_notebook(page)
    assert notebook_of(page).read_text(encoding="utf-8") == made, UPDATE
    assert len(made.encode("utf-8")) < MOST_BYTES
    notebook = json.loads(made)
    code = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert code == [block.code.strip() for block in read_blocks(page)]
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(ids) == len(set(ids))
    shown = ["".join(output["text"]) for cell in notebook["cells"] for output in cell.get("outputs", [])]
    assert shown == [block.output for block in read_blocks(page) if block.output]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_notebook_opens_with_what_the_reader_will_have(page):
    first = "".join(json.loads(notebook_of(page).read_text(encoding="utf-8"))["cells"][0]["source"])
    title, opening, *_ = first.split("\n\n")
    assert title.startswith("# ")
    assert opening.startswith("**At the end you have** ")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_page_reads_only_what_the_package_has(page):
    """A reader has the package and the notebook, not the clone: no cell imports examples or tests."""
    for block in read_blocks(page):
        for node in ast.walk(ast.parse(block.code)):
            if isinstance(node, ast.ImportFrom):
                assert node.module.partition(".")[0] not in ("examples", "tests", "benchmarks")


def test_messages_are_whole():
    table = pd.read_csv(FOLDER / "messages.csv")
    assert list(table.columns) == ["text", "label"]
    assert table.text.is_unique
    assert table.label.value_counts().to_dict() == {"payment": 60, "delivery": 60, "product": 60}
    assert table.label.isna().sum() == 12


def test_markdown_and_code_become_cells(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# Title\n\nText.\n\n```python\nprint(1)\n```\n\n```text\n1\n```\n\n```python\nx = 2\n```\n\n```bash\nls\n```\n",
        encoding="utf-8",
    )
    cells = json.loads(make_notebook(page))["cells"]
    assert [(cell["cell_type"], "".join(cell["source"])) for cell in cells] == [
        ("markdown", "# Title\n\nText."),
        ("code", "print(1)"),
        ("code", "x = 2"),
        ("markdown", "```bash\nls\n```"),
    ]
    assert [cell.get("execution_count") for cell in cells] == [None, 1, 2, None]
    assert cells[1]["outputs"] == [{"name": "stdout", "output_type": "stream", "text": ["1\n"]}]
    assert cells[2]["outputs"] == []


@pytest.mark.parametrize(
    ("shown", "printed", "close"),
    [
        ("56% of 32 are right", "59% of 32 are right", True),
        ("56% of 32 are right", "70% of 32 are right", False),
        ("error 0.24", "error 0.30", True),
        ("error 0.24", "error 0.40", False),
        ("-0.1  seven", "-0.1  eight", False),
        ("1 2", "1", False),
        ("a", "a\n", True),
    ],
)
def test_numbers_are_compared_with_a_tolerance(shown, printed, close):
    assert close_output(shown, printed) is close


@given(st.floats(-1000, 1000).map(lambda number: round(number, 2)), st.text("ab .:", max_size=5))
def test_every_output_is_close_to_itself_and_not_to_twice_its_numbers(number, text):
    assert close_output(f"{text} {number}", f"{text} {number}")
    assert close_output(f"x {number}", f"x {number * 2:.2f}") is (abs(number) <= 0.1 * max(1.0, abs(number)) + 1e-9)

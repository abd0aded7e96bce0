"""Every test that a page names exists, and every promise names one."""

import ast
import re
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PROMISES = ROOT / "docs" / "how_it_works" / "promises.md"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
NAMED = re.compile(r"(tests/[\w/]+\.py)::(test_\w+)")
NOT_PROMISED = "What is not promised"


def names_of(page: Path) -> list[tuple[str, str]]:
    return NAMED.findall(page.read_text(encoding="utf-8"))


def functions_of(path: Path) -> set[str]:
    if not path.is_file():
        return set()
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    }


def promises() -> dict[str, str]:
    """The list items of the page, by their bold words, without the section of what is not promised."""
    text = PROMISES.read_text(encoding="utf-8").partition(f"## {NOT_PROMISED}")[0]
    items = re.findall(r"^- \*\*(.+?)\*\*(.*?)(?=^- |^## |\Z)", text, flags=re.MULTILINE | re.DOTALL)
    return {" ".join(title.split()): body for title, body in items}


@pytest.mark.parametrize("page", [page for page in PAGES if names_of(page)], ids=lambda page: page.name)
def test_tests_that_a_page_names_exist(page):
    missing = [f"{path}::{name}" for path, name in names_of(page) if name not in functions_of(ROOT / path)]
    # CONTRIBUTING.md shows a test that is made up.
    assert [name for name in missing if name != "tests/stress/test_ids.py::test_ids"] == []


def test_every_promise_names_its_test():
    found = promises()
    assert len(found) > 10
    assert [title for title, body in found.items() if not NAMED.search(body)] == []


def test_every_stress_test_shows_a_promise():
    """A stress test that no promise names checks something that nobody can rely on."""
    named = set(names_of(PROMISES))
    files = {path for path, _ in named}
    stress = {f"tests/stress/{path.name}" for path in (ROOT / "tests" / "stress").glob("test_*.py")}
    assert stress - files == {"tests/stress/test_frame.py"}

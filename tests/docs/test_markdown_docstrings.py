"""Check how the Markdown of docstrings becomes reStructuredText for the site."""

import pytest

from tests.support.paths import ROOT


@pytest.fixture
def convert(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    from markdown_docstrings import to_restructured_text

    return lambda text: "\n".join(to_restructured_text(text.splitlines()))


def test_fences_become_code_blocks(convert):
    text = "Fill.\n\n    ```python\n    >>> fill()\n    ```\nEnd."
    assert convert(text).splitlines() == [
        *("Fill.", "", "", "    .. code-block:: python", ""),
        *("        >>> fill()", "", "End."),
    ]


def test_tables_become_list_tables(convert):
    table = "| a | b |\n|---|---|\n| `c` | [d](https://e.f) |"
    assert convert(table).splitlines() == [
        *("", ".. list-table::", "   :header-rows: 1", ""),
        *("   * - a", "     - b", "   * - `c`", "     - `d <https://e.f>`__"),
    ]


def test_plurals_of_code_end_the_code(convert):
    assert convert("A list of `Filling`s, `x` and ``y``.") == "A list of `Filling`\\ s, `x` and ``y``."

"""Check that README is short and that its code runs, that its set-up commands exist, and that all links lead somewhere."""

import os
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

import modeling_glm
from tests.support.pages import prepare_folder, read_blocks, run_blocks, same_output
from tests.support.paths import ROOT

README = ROOT / "README.md"
PAGES = [
    README,
    *(ROOT / name for name in ("MODEL_CARD.md", "CONTRIBUTING.md", "examples/glm-tiny/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "examples" / "README.md",
    *sorted((ROOT / "examples" / "notebooks").glob("*.md")),
]
LINKS = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)")


def anchors_of(page: Path) -> set[str]:
    """List the anchors of a page as GitHub and MyST make them from its headings."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_code_is_short():
    (block,) = read_blocks(README)
    assert len([line for line in block.code.splitlines() if line.strip()]) <= 6
    assert block.output


def test_code_prints_what_is_shown(tmp_path, monkeypatch):
    prepare_folder(tmp_path)
    monkeypatch.chdir(tmp_path)
    ((block, printed),) = run_blocks(README)
    assert same_output(block.output, printed)


def test_set_up_commands_exist():
    (block,) = read_blocks(README, "bash")
    targets = re.findall(r"^make (\w+)", block.code, flags=re.MULTILINE)
    assert targets == ["demo", "test"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert all(f"\n{target}:" in makefile for target in targets)


def test_names_are_public():
    """Names in the table of README exist: functions and classes of the package, commands and scripts."""
    table = re.search(r"^\| you want to .*?\n\n", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)[0]
    names = re.findall(r"`([A-Za-z_]+)`", table)
    # Transformers has decision models from 5.23 on.
    newer = set() if find_spec("transformers.decision") else {"GLMForDecision"}
    assert set(names) - {"push_to_hub"} - newer <= set(modeling_glm.__all__)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    links = [
        (page.parent / target if target else page, anchor)
        for target, anchor in LINKS.findall(page.read_text(encoding="utf-8"))
    ]
    assert [str(path) for path, _ in links if not os.path.exists(path)] == []
    assert [f"{path}#{anchor}" for path, anchor in links if anchor and anchor not in anchors_of(path)] == []

"""What all studies have in common."""

import ast
from pathlib import Path

import pytest

from tests.support.paths import ROOT

FOLDER = ROOT / "benchmarks" / "studies"
COMMANDS = sorted(
    path for path in FOLDER.rglob("*.py") if 'if __name__ == "__main__":' in path.read_text(encoding="utf-8")
)


def test_commands_are_found():
    assert len(COMMANDS) >= 8


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: path.relative_to(FOLDER).as_posix())
def test_every_study_says_which_machine_gave_its_figures(path: Path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    called = {
        node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert "describe_this_machine" in called

"""Run a script of examples/ in the process of the test, or describe its command for a process of its own."""

import runpy
import sys
from typing import Any

from tests.support.paths import EXAMPLES


def run_script(name: str, *arguments: Any):
    """Run a script as `python examples/NAME` does."""
    before = sys.argv, list(sys.path)
    sys.argv, sys.path[:0] = [str(EXAMPLES / name), *map(str, arguments)], [str(EXAMPLES)]
    try:
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    finally:
        sys.argv, sys.path[:] = before


def command_of(name: str, *arguments: Any) -> list[str]:
    """Return the command that runs a script in a process of its own."""
    return [sys.executable, str(EXAMPLES / name), *map(str, arguments)]

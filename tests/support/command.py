"""The command `modeling-glm`, run in the process of the test."""

import io
import json
import signal
import sys
from typing import NamedTuple

import pytest

from modeling_glm.cli import main as cli


class CommandResult(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command with `given` on standard input. Returns the exit code, standard output and standard error."""

    def run(*arguments, given: bytes = b"") -> CommandResult:
        monkeypatch.setattr(sys, "argv", ["modeling-glm", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
        show = cli.warnings.showwarning
        try:
            with pytest.raises(SystemExit) as ended:
                cli.main()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            cli.warnings.showwarning = show
        return CommandResult(ended.value.code, *capsys.readouterr())

    return run


def objects(result: CommandResult) -> list[dict]:
    """Read the JSON lines that the command printed."""
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]

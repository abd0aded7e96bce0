"""
The frame of the tests in `tests/stress`: random cases that one command repeats.

    def test_ids(stress):
        for case in stress.cases(200, smoke=3):
            with case:
                ids = [case.random.randrange(64) for _ in range(10)]
                ...

A case that fails does not stop the others. The test fails at its end and prints a command for each case that failed.
"""

import faulthandler
import random
import shlex
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import psutil
import pytest
import torch

try:
    import resource
except ImportError:  # not on Windows
    resource = None  # type: ignore[assignment]

MOST_FAILURES = 5  # later ones are probably the same
GIB = 2**30
AT_LENGTH = "runs at length only: make stress"


@dataclass(frozen=True, kw_only=True)
class StressOptions:
    """
    Hold what the command line says.

    Attributes:
        seed: The seed of all cases.
        case: The number of the only case to run.
        scale: The factor of the number of cases. None: a smoke of a few cases.
        seconds: The time for each test. The last case may end later.
    """

    seed: int = 0
    case: int | None = None
    scale: float | None = None
    seconds: float | None = None

    @classmethod
    def read(cls, config: pytest.Config) -> "StressOptions":
        return cls(**{name: config.getoption(f"stress_{name}") for name in cls.__dataclass_fields__})

    @property
    def is_smoke(self) -> bool:
        """Whether only a few cases run, as in `make test`."""
        return self.case is None and self.scale is None and self.seconds is None


def add_options(parser: pytest.Parser):
    group = parser.getgroup("stress", "random cases of tests/stress")
    group.addoption("--stress-seed", type=int, default=0, metavar="N", help="seed of all cases (default: 0)")
    group.addoption("--stress-case", type=int, metavar="N", help="run only this case of each test")
    group.addoption(
        "--stress-scale", type=float, metavar="X", help="run X times the usual cases (default: a few cases)"
    )
    group.addoption("--stress-seconds", type=float, metavar="S", help="run each test for S seconds")


class Case:
    """
    Run one case: with draws of its own, a time limit and a memory limit, and with its failure kept for the report.

    Attributes:
        number: The number of the case, from 0.
        random: Its random draws. They depend on the seed, the name of the test and the number only.
        seed: A seed for other generators. Those of torch and of Python have it already.
        command: The command that runs this case alone.
    """

    def __init__(self, stress: "Stress", number: int, seconds: float, memory: int | None):
        self.stress = stress
        self.number = number
        self.random = random.Random(f"{stress.options.seed} {stress.name} {number}")
        self.seed = self.random.randrange(2**32)
        self.seconds = seconds
        self.memory = memory
        self.command = stress.command(number)

    def __enter__(self) -> "Case":
        torch.manual_seed(self.seed)
        random.seed(self.seed)
        self.stress.note(self.command)
        self._limits = _limits(self.seconds, self.memory, self.stress.record)
        self._limits.__enter__()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        self._limits.__exit__(None, None, None)
        failed = isinstance(error, (Exception, pytest.fail.Exception))
        if not failed or self.stress.options.case is not None:
            return False  # a case that runs alone shows its whole traceback
        self.stress.failures.append(f"{''.join(traceback.format_exception(error))}\nRepeat it:\n  {self.command}\n")
        return True


class Stress:
    """
    Yield the cases of a test.

    Args:
        nodeid: The name of the test, as pytest takes it.
        options: What the command line says.
        record: A file that names the running case, for processes that die.
    """

    def __init__(self, nodeid: str, options: StressOptions, record: Path):
        self.nodeid = nodeid
        self.name = nodeid.rpartition("/")[2]
        self.options = options
        self.record = record
        self.failures: list[str] = []

    @property
    def seed(self) -> int:
        return self.options.seed

    @property
    def is_smoke(self) -> bool:
        """Whether only a few cases run, as in `make test`."""
        return self.options.is_smoke

    def command(self, number: int) -> str:
        test = shlex.quote(self.nodeid)
        return f".venv/bin/python -m pytest {test} --stress-seed {self.seed} --stress-case {number}"

    def cases(
        self, default: int, *, smoke: int = 2, seconds: float = 60.0, memory: int | None = 4 * GIB
    ) -> Iterator[Case]:
        """
        Yield the cases. Use one such loop in a test.

        Args:
            default: The number of cases of `make stress`. All of a test should take about 10 seconds.
            smoke: The number of cases of `make test`. They should take about two seconds. 0 skips the test there.
            seconds: The longest time of one case.
            memory: The memory that a case may take beyond that of the process, in bytes. None: no limit, as processes
                that reserve large addresses need it.
        """
        options, start = self.options, time.monotonic()
        if options.case is not None:
            yield Case(self, options.case, seconds, memory)
            return
        number = smoke if options.scale is None else max(1, round(default * options.scale))
        if options.seconds is not None and options.scale is None:
            number = sys.maxsize
        if not number:
            pytest.skip(AT_LENGTH)
        for case in range(number):
            if options.seconds is not None and time.monotonic() - start >= options.seconds:
                break
            yield Case(self, case, seconds, memory)
            if len(self.failures) >= MOST_FAILURES:
                break
        self.report()

    def note(self, text: str):
        """Write what runs now into the record."""
        self.record.write_text(f"{text}\n", encoding="utf-8")

    def report(self):
        """Fail if a case has failed."""
        failures, self.failures = self.failures, []
        if failures:
            pytest.fail(f"{len(failures)} cases failed\n\n" + "\n".join(failures), pytrace=False)


@contextmanager
def _limits(seconds: float, memory: int | None, record: Path) -> Iterator[None]:
    """Limit the time and the memory of the process. Code that cannot be interrupted ends the process."""

    def stop(*_):
        pytest.fail(f"The case takes more than {seconds:g} seconds.")

    with record.open("a", encoding="utf-8") as file, limited_memory(memory):
        before = signal.signal(signal.SIGALRM, stop)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        faulthandler.dump_traceback_later(2 * seconds + 10, exit=True, file=file)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)


@contextmanager
def limited_memory(more: int | None) -> Iterator[None]:
    """Limit what the process and those that it starts may allocate beyond its present size, in bytes."""
    if more is None or resource is None:
        yield
        return
    before, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = psutil.Process().memory_info().vms + more
    for limit in (before, hard):
        if limit != resource.RLIM_INFINITY:
            wanted = min(wanted, limit)
    resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (before, hard))


def why_unclear(error: BaseException, *names: str) -> str:
    """
    Say why an error of wrong input is unclear, or return "" for a clear one.

    A clear error is a ValueError, TypeError or NotImplementedError from a `raise` of this package or of Transformers, not
    from the depths of torch, tokenizers or Python. Its message is a sentence that says what was expected.

    Args:
        error: The error, with its traceback.
        names: Names of which the message must contain one, such as the wrong argument.
    """
    message = str(error)
    if not isinstance(error, (ValueError, TypeError, NotImplementedError)):
        return f"{type(error).__name__} is neither a ValueError nor a TypeError: {message}"
    last = traceback.extract_tb(error.__traceback__)[-1]
    path = Path(last.filename).as_posix()
    if not any(f"/{package}/" in path for package in ("modeling_glm", "tokenization", "transformers")):
        return f"it comes from the depths ({path}, line {last.lineno}): {message}"
    # "raise" may stand some lines above the line that the traceback gives; calls of C code have none.
    if "raise" not in (last.line or "") and not _raises(last.filename, last.lineno or 0):
        return f"it comes from an expression of {path}, line {last.lineno}, not from a raise: {message}"
    if len(message.split()) < 4:
        return f"the message says too little: {message!r}"
    if names and not any(name in message for name in names):
        return f"the message names none of {', '.join(names)}: {message}"
    return ""


def _raises(filename: str, line: int) -> bool:
    """Tell whether a line of a file belongs to a raise statement."""
    import ast

    tree = ast.parse(Path(filename).read_text(encoding="utf-8"))
    return any(
        isinstance(node, ast.Raise) and node.lineno <= line <= (node.end_lineno or 0) for node in ast.walk(tree)
    )

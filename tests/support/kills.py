"""
Processes that are killed at a chosen write.

    points = watch(run, folder, root=folder)               # the writes below `root`, in order
    ended = watch(run, folder, root=folder, kill=Kill(write=17))
    assert ended.killed

`run` is a function of a module. It runs in a child that is forked from a server which has torch imported, so one kill
costs what the run costs and no more. Nothing in the process of the test changes, and the child has one thread.

A write is a change that the kernel sees in the names of files (open for writing, rename, mkdir, remove, chmod), and the
start of a native writer (safetensors, torch, tokenizers, Arrow). `Kill(write=n)` ends the process before the n-th of
them, and `Kill(write=n, torn=100)` in the middle of the next file that would grow beyond 100 bytes.
"""

import contextlib
import functools
import io
import multiprocessing
import os
import random
import resource
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

# What the runs of the tests import: read once, by the server.
PRELOADED = [
    "torch",
    "accelerate",
    "transformers.trainer",
    "transformers.models.auto.modeling_auto",
    "datasets",
    "pyarrow",
    "safetensors.torch",
    "matplotlib.pyplot",
    "torch.utils.tensorboard",
    "torch.distributed",
    "modeling_glm.pretraining.run",
    "modeling_glm.cloze.baselines",
    "modeling_glm.cloze.report",
    "modeling_glm.cloze.training",
    "peft",
    "sklearn.feature_extraction.text",
    "sklearn.linear_model",
    "sklearn.metrics",
    "sklearn.pipeline",
    "tests.support.pretraining_runs",
    "tests.support.distributed_run",
]
CHANGES = {"os.rename": 2, "os.mkdir": 1, "os.remove": 1, "os.rmdir": 1, "os.link": 2, "os.symlink": 2, "os.chmod": 1}
DESCRIPTORS = {
    "os.rename": 2,
    "os.mkdir": 2,
    "os.remove": 1,
    "os.rmdir": 1,
    "os.link": 2,
    "os.symlink": 2,
    "os.chmod": 2,
}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


@dataclass(frozen=True, kw_only=True)
class Kill:
    """
    The moment at which a process is killed.

    Attributes:
        write: Number of the write, from 0, before which the process ends. None for another moment.
        torn: Bytes of the next file that still reach the disk after this write was allowed.
        seconds: CPU seconds after which the process ends, wherever it is.
    """

    write: int | None = None
    torn: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Ended:
    """
    How a process ended.

    Attributes:
        code: The exit code; a negative number is the signal that ended it.
        writes: The writes that it began, one description each. Before the last one it was killed, if it was.
        output: What it printed, and its traceback.
        seconds: CPU seconds that it used, or None if it was killed.
    """

    code: int
    writes: tuple[str, ...] = field(repr=False)
    output: str
    seconds: float | None

    @property
    def killed(self) -> bool:
        return self.code < 0


def forking_server() -> multiprocessing.context.BaseContext:
    """Return a context whose children are forked from a server that has torch imported. It starts with the first child."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def watch(
    function: Callable,
    *args: Any,
    root: Path,
    kill: Kill | None = None,
    environment: Mapping[str, str] | None = None,
    timeout: float = 120,
) -> Ended:
    """Call a function in a child and wait for its end. See `start`."""
    return start(function, *args, root=root, kill=kill, environment=environment).wait(timeout)


def start(
    function: Callable,
    *args: Any,
    root: Path,
    kill: Kill | None = None,
    environment: Mapping[str, str] | None = None,
) -> "Child":
    """
    Start a function in a child.

    Args:
        function: A function of a module, which the child imports.
        args: Its arguments; they are pickled.
        root: The writes below this folder count.
        kill: When to kill the child. None lets it end.
        environment: Variables to set in the child.
    """
    return Child(function, args, root, kill or Kill(), dict(environment or {}))


def start_together(
    function: Callable,
    *args: Any,
    count: int,
    root: Path,
    port: int,
    kills: Mapping[int, Kill] | None = None,
    **environment: str,
) -> "list[Child]":
    """
    Start a function in `count` children that form a group of torch.distributed, as its launcher would.

    Args:
        function, args, root: As for `start`.
        count: Number of processes.
        port: A free port.
        kills: When to kill a child, by its number.
        environment: Further variables to set in each child.
    """
    of_all = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
    }
    return [
        start(
            function,
            *args,
            root=root,
            kill=(kills or {}).get(rank),
            environment={**environment, **of_all, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(count)
    ]


def wait_for_all(children: "list[Child]", timeout: float = 120) -> list[Ended]:
    """Wait until all have ended. If one takes longer, all are killed, because they wait for each other."""
    with contextlib.ExitStack() as stack:
        for child in children:
            stack.enter_context(child)
        return [child.wait(timeout) for child in children]


def free_port() -> int:
    """A port that no other process has now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Child:
    """A function in a process of its own, whose writes below a folder are counted."""

    def __init__(self, function: Callable, args: tuple, root: Path, kill: Kill, environment: dict[str, str]):
        context = forking_server()
        self._notes = tempfile.TemporaryDirectory(prefix="kills-")  # not below root
        folder = Path(self._notes.name)
        self.process = context.Process(target=_run, args=(function, args, root, kill, environment, folder))
        with pytest.MonkeyPatch.context() as patch:  # for the server, which starts with the first child
            patch.setenv("OMP_NUM_THREADS", "1")
            patch.setenv("TOKENIZERS_PARALLELISM", "false")
            self.process.start()

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_: object):
        """Kill it if it still runs, because the test has failed."""
        if self.process.is_alive():
            self.process.kill()
            self.process.join()

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return _read(Path(self._notes.name) / "output")

    def wait_for(self, text: str, timeout: float = 60):
        """Wait until it has printed a text."""
        end = time.monotonic() + timeout
        while text not in self.output:
            assert time.monotonic() < end, self.output
            assert self.process.is_alive(), self.output
            time.sleep(0.01)

    def wait(self, timeout: float = 120) -> Ended:
        """Wait for the end. A child that takes longer is killed, and a `TimeoutError` shows what it printed."""
        self.process.join(timeout)
        late = self.process.exitcode is None
        if late:
            self.process.kill()
            self.process.join()
        folder = Path(self._notes.name)
        ended = Ended(
            code=self.process.exitcode,
            writes=tuple(_read(folder / "writes").splitlines()),
            output=self.output,
            seconds=float(_read(folder / "seconds") or "nan") if self.process.exitcode == 0 else None,
        )
        self._notes.cleanup()
        if late:
            raise TimeoutError(f"The child ran for more than {timeout} s:\n{ended.output}")
        return ended


class KillableRun:
    """
    Repeat a command until it has ended.

    Args:
        command: A function without arguments, which a child can call.
        folder: Where it writes.
    """

    def __init__(self, command: Callable, folder: Path):
        self.command, self.folder = command, folder

    def finish(self, command: Callable | None = None) -> Ended:
        """Start the command again, or another one. It must neither refuse nor fail."""
        ended = watch(command or self.command, root=self.folder)
        assert ended.code == 0, ended.output
        return ended

    def kill(self, kill: Kill) -> Ended:
        """Start the command and kill it. It may end before."""
        ended = watch(self.command, root=self.folder, kill=kill)
        assert ended.killed or ended.code == 0, ended.output
        return ended


def draw_kill(whole: Ended, generator: random.Random) -> Kill:
    """Draw a moment of a run, from the end of it without a kill: before a write, within a file, or anywhere."""
    kind = generator.choice(("write", "torn", "seconds"))
    if kind == "seconds":
        return Kill(seconds=max(0.001, generator.random() * (whole.seconds or 1.0)))
    torn = generator.choice((0, 1, generator.randrange(5000))) if kind == "torn" else None
    return Kill(write=generator.randrange(len(whole.writes)), torn=torn)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def _run(function: Callable, args: tuple, root: Path, kill: Kill, environment: dict[str, str], notes: Path):
    """Run in the child: install the watch, call the function, note the CPU time."""
    import torch
    from tqdm import tqdm

    output = os.open(notes / "output", os.O_WRONLY | os.O_CREAT, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    # The streams of the server may be those of a test that is over.
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(io.FileIO(number, "w", closefd=False), encoding="utf-8", write_through=True)
        for number in (1, 2)
    )
    os.environ.update(environment)
    torch.set_num_threads(1)
    multiprocessing.set_start_method(None, force=True)  # as in other processes, for workers that load data
    tqdm.set_lock(threading.RLock())  # its own lock is a semaphore of the system, which a kill would leave behind
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _watch_writes(root, kill, os.open(notes / "writes", os.O_WRONLY | os.O_CREAT, 0o600))
    started = _cpu_seconds()
    if kill.seconds is not None:
        signal.signal(signal.SIGPROF, signal.SIG_DFL)  # ends the process as SIGKILL does: no handler runs
        signal.setitimer(signal.ITIMER_PROF, kill.seconds)
    try:
        function(*args)
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        os._exit(end.code if isinstance(end.code, int) else end.code is not None)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    (notes / "seconds").write_text(str(_cpu_seconds() - started))
    os._exit(0)


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _watch_writes(root: Path, kill: Kill, log: int):
    """Count the writes below `root` in this process, for the rest of its life, and kill it at the chosen one."""
    above = str(root.resolve())
    count = 0

    def note(what: str, *paths: str):
        nonlocal count
        if not any(path == above or path.startswith(above + os.sep) for path in paths):
            return
        with contextlib.suppress(OSError):  # the run may limit the size of files
            os.write(log, (f"{what} {' -> '.join(os.path.relpath(path, above) for path in paths)}\n").encode())
        if count == kill.write:
            if kill.torn is None:
                os.kill(os.getpid(), signal.SIGKILL)
            # From here on a file that grows beyond the limit ends the process in the middle of its write.
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_FSIZE, (kill.torn, kill.torn))
        count += 1

    def hook(event: str, args: tuple):
        if event == "open":
            path, _, flags = args
            if isinstance(path, str | bytes | os.PathLike) and isinstance(flags, int) and flags & WRITING:
                note("open", _full(path))
        elif event in CHANGES and not (event == "os.mkdir" and os.path.isdir(args[0])):
            number, place = CHANGES[event], DESCRIPTORS[event]
            descriptors = args[place : place + number]
            paths = [
                _full(path, descriptors[i] if i < len(descriptors) else None) for i, path in enumerate(args[:number])
            ]
            note(event, *paths)

    _announce_native_writers(note)
    sys.addaudithook(hook)


def _full(path: Any, descriptor: Any = None) -> str:
    """Return the full path of a file, which may be relative to the descriptor of an open folder."""
    if isinstance(path, int):
        return os.readlink(f"/proc/self/fd/{path}")
    path = os.fsdecode(path)
    if isinstance(descriptor, int) and descriptor >= 0 and not os.path.isabs(path):
        return os.path.join(os.readlink(f"/proc/self/fd/{descriptor}"), path)
    return os.path.abspath(path)


def _announce_native_writers(note: Callable):
    """Note the start of the writers whose files Python does not open."""
    import pyarrow
    import safetensors.torch
    import torch
    from transformers import PreTrainedTokenizerFast

    def announced(function: Callable, name: str, path_at: int, keyword: str = ""):
        @functools.wraps(function)
        def announce(*args, **kwargs):
            path = args[path_at] if len(args) > path_at else kwargs.get(keyword)
            if isinstance(path, str | os.PathLike):
                note(name, os.path.abspath(path))
            return function(*args, **kwargs)

        return announce

    safetensors.torch.serialize_file = announced(safetensors.torch.serialize_file, "safetensors", 1)
    torch._C.PyTorchFileWriter = announced(torch._C.PyTorchFileWriter, "torch", 0)
    pyarrow.OSFile = announced(pyarrow.OSFile, "arrow", 0)
    save = PreTrainedTokenizerFast._save_pretrained
    PreTrainedTokenizerFast._save_pretrained = announced(save, "tokenizer", 1, "save_directory")

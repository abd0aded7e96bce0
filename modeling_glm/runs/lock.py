"""One run per folder: a second one is refused while the first runs. A crash gives the folder back."""

import contextlib
import json
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

from ..configuration_glm import read_json
from ..tokenization.saving import clean_up, require_no_file
from .flow import on_first_process

# Trainer does not push files whose names start with an underscore.
LOCK, OWNER = "_run.lock", "_run.owner"
LEFTOVER = re.compile(r"_(.+)-[0-9a-f]{8}\.partial")  # an unfinished file of this name, see modeling_glm.utils.files
PATIENCE = 10.0  # seconds that helpers of a killed run, such as workers that load data, need to end

_held: ContextVar[frozenset[Path]] = ContextVar("held", default=frozenset())


class FolderInUseError(ValueError):
    """Another process uses the folder of a run."""


def require_folder(path: str | os.PathLike, name: str = "output_dir") -> Path:
    """
    Return the path of a folder, which may not exist yet.

    Args:
        path: The path.
        name: Name of the argument, for the message.

    Raises:
        ValueError: If a file is in the way.
    """
    path = Path(path)
    try:
        require_no_file(path)
    except NotADirectoryError as error:
        inside = "" if os.path.abspath(error.filename) == os.path.abspath(path) else f" is in {error.filename}, which"
        raise ValueError(f"{name} {path}{inside} is a file, expected a folder: name another, or move it.") from None
    return path


@contextmanager
def hold_folder(folder: str | os.PathLike) -> Iterator[None]:
    """
    Hold a folder for this process, create it if it is missing, and delete what a killed run has left in it unfinished.

    The folder is free again at the end of the block, or when the process ends in any way. An empty file `_run.lock` stays
    in it.

    Raises:
        FolderInUseError: If another process, or another thread of this one, holds the folder. The message names the
            process.
        ValueError: If a file is in the way.
    """
    folder = require_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    patient_until = time.monotonic() + PATIENCE
    while True:
        try:
            lock.acquire(timeout=0)
            break
        except Timeout:
            owner = _read_owner(folder)
            if _is_alive(owner) or time.monotonic() > patient_until:
                raise FolderInUseError(
                    f"{folder} is in use by {_describe(owner)}: wait until that run has ended, or name another folder."
                ) from None
            time.sleep(0.05)  # the owner has just begun, or was killed and its helpers are about to end
    note = folder / OWNER
    try:
        for path in folder.glob("_*.partial"):
            if written := LEFTOVER.fullmatch(path.name):
                clean_up(folder / written[1], folder)
        with contextlib.suppress(OSError):  # a full disk: only the message of a second run needs it
            note.write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}) + "\n", encoding="utf-8")
        yield
    finally:
        note.unlink(missing_ok=True)
        lock.release()


@contextmanager
def hold_run(folder: str | os.PathLike) -> Iterator[None]:
    """
    Hold a folder for a run, which may have several processes. Its first process holds it.

    A block inside of this one, for the same folder, changes nothing.

    Raises:
        FolderInUseError: On all processes, if another run holds the folder.
        ValueError: On all processes, if a file is in the way.
    """
    path = Path(folder).resolve()
    if path in _held.get():
        yield
        return
    with contextlib.ExitStack() as stack:
        on_first_process(lambda: stack.enter_context(hold_folder(folder)))
        token = _held.set(_held.get() | {path})
        try:
            yield
        finally:
            _held.reset(token)


def _read_owner(folder: Path) -> dict[str, Any]:
    try:
        return read_json(folder / OWNER)
    except (OSError, ValueError):
        return {}


def _is_alive(owner: dict[str, Any]) -> bool:
    """Return whether the owner may still run. Processes of other machines may."""
    if not isinstance(owner.get("pid"), int):
        return False
    return owner.get("host") != socket.gethostname() or psutil.pid_exists(owner["pid"])


def _describe(owner: dict[str, Any]) -> str:
    if "pid" not in owner:
        return "another process"
    there = "" if owner.get("host") == socket.gethostname() else f" on {owner.get('host')}"
    return f"process {owner['pid']}{there}"

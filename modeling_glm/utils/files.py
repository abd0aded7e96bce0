"""Write folders and files whole or not at all: whoever reads sees the old content or the new one, never a part."""

import ctypes
import errno
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..tokenization.saving import (
    delete,
    explain_write_errors,
    hold,
    leftovers,
    make_folder,
    release,
    require_no_file,
    save_through,
    staging_folder,
    sync,
    sync_tree,
    temporary_path,
    whole_file,
    write_whole,
)

# The old folder while it gives way, on disks that cannot exchange two names.
OLD = ".old"
# What a system or a disk says that cannot exchange two names; seccomp says EPERM.
CANNOT_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM, errno.EXDEV)


@contextmanager
def whole_folder(target: str | os.PathLike, overwrite: bool = True) -> Iterator[Path]:
    """
    Give a temporary folder to write into, and move it to `target` at the end.

    An interrupted run leaves what was there before, also if it is killed. What it leaves beside `target` is deleted by the
    next call. On Linux and macOS the new folder takes the place of the old one in one step. A disk that cannot do that is
    left without `target` for a moment; if a run is killed just then, the next call restores the old folder.

    Args:
        target: Path of the finished folder. Missing parents are created.
        overwrite: Whether to replace the folder that is at `target`. An empty folder is always replaced.

    Yields:
        The temporary folder, beside `target`.

    Raises:
        FileExistsError: If there is something at `target` and `overwrite` is False.
        NotADirectoryError: If `target`, or a folder above it, is a file.
        OSError: If the folder cannot be written. The message names `target` and the free space.
    """
    target = Path(os.path.abspath(target))  # so that "." has a name
    restore(target)
    if not overwrite:
        require_absent(target)
    require_no_file(target)  # before anything is computed
    with staging_folder(target) as building:
        yield building
        sync_tree(building)
        if overwrite:
            require_no_file(target)
            _replace(target, building)
        else:
            _place(target, building)
        sync(target.parent)


def write_json_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as JSON objects, one per line, whole or not at all. What JSON does not know is written as a text."""
    with whole_file(path) as file:
        file.writelines(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows)


def restore(target: Path) -> None:
    """Put an old folder back, if a crash came between its leaving and the arrival of the new one."""
    for old in sorted(leftovers(target, OLD), key=_age):
        with suppress(OSError):  # another process is at it, or was faster
            lock = hold(old)
            try:
                if os.path.lexists(target):
                    delete(old)
                else:
                    old.rename(target)
            finally:
                release(lock)


def is_free(target: Path) -> bool:
    """Return whether there is nothing at `target`, or only an empty folder."""
    if target.is_dir():
        return not any(target.iterdir())
    return not target.exists() and not target.is_symlink()


def require_absent(target: Path) -> None:
    """Raise a `FileExistsError` unless `target` is free."""
    if not is_free(target):
        raise FileExistsError(
            f"{target} exists already: choose another name, delete it, or say --overwrite (overwrite=True in Python)."
        )


def _place(target: Path, building: Path) -> None:
    """Move the finished folder to a free place, and never over something that came there meanwhile."""
    if os.name != "posix" and target.is_dir():
        target.rmdir()  # refuses one with files
    try:
        building.rename(target)  # replaces an empty folder and nothing else
    except OSError:
        require_absent(target)
        raise


def _replace(target: Path, building: Path) -> None:
    """Move the finished folder to its place. Afterwards `building` is gone, or it is the old folder."""
    if is_free(target):
        with suppress(FileExistsError):  # another run was faster: its folder is replaced
            return _place(target, building)
    if not _exchange(building, target):
        _move_aside(target, building)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step. Returns False if the system or the disk cannot do that."""
    library: Any = ctypes.CDLL(None, use_errno=True) if os.name == "posix" else None
    first, second = os.fsencode(one), os.fsencode(other)
    at_cwd, exchange, swap = -100, 2, 2  # AT_FDCWD, RENAME_EXCHANGE and RENAME_SWAP
    if sys.platform == "linux" and hasattr(library, "renameat2"):
        failed = library.renameat2(at_cwd, first, at_cwd, second, exchange)
    elif sys.platform == "darwin" and hasattr(library, "renamex_np"):
        failed = library.renamex_np(first, second, swap)
    else:
        return False
    if not failed:
        return True
    if (code := ctypes.get_errno()) in CANNOT_EXCHANGE:
        return False
    raise OSError(code, os.strerror(code), str(other))


def _move_aside(target: Path, building: Path) -> None:
    """Replace a folder in two steps, because a folder cannot be renamed over one with files."""
    aside = temporary_path(target, OLD)
    lock = None
    with suppress(BlockingIOError):
        lock = hold(target)  # so that nobody puts it back meanwhile
    try:
        target.rename(aside)
        building.rename(target)
    except BaseException:
        if os.path.lexists(aside) and not os.path.lexists(target):
            aside.rename(target)
        raise
    finally:
        release(lock)
    delete(aside)


def _age(path: Path) -> float:
    """Sort paths by this to have the newest first: a rename sets the time of the change."""
    with suppress(OSError):
        return -path.lstat().st_ctime
    return 0.0


__all__ = [
    "explain_write_errors",
    "is_free",
    "make_folder",
    "require_absent",
    "require_no_file",
    "restore",
    "save_through",
    "staging_folder",
    "whole_file",
    "whole_folder",
    "write_json_lines",
    "write_whole",
]

"""
Write files and folders whole or not at all: whoever reads sees the old content or the new one, never a part.

What is unfinished has a name `_NAME-....partial` beside its target, and its writer holds a lock on it, which a crash
releases. The next writer of the same target deletes what nobody holds.

This file is uploaded with a tokenizer, so it imports nothing of this package. Other rooms use `modeling_glm.utils.files`.
"""

import errno
import io
import os
import re
import secrets
import shutil
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TextIO

try:
    import fcntl
except ImportError:  # Windows has no locks that a folder can have: there, what a crash leaves stays
    fcntl = None  # type: ignore[assignment]

PARTIAL = ".partial"
# A name may have 255 bytes on most disks, and ours are longer than their targets'.
LONGEST_NAME = 180
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.EBUSY, errno.ENAMETOOLONG, errno.ESTALE)
# How the Rust libraries (safetensors, tokenizers) end the message of an error of the system.
RUST_ERROR = re.compile(r"\(os error (\d+)\)")
# What a disk says that cannot make sure that content has arrived.
CANNOT_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF, errno.EACCES)


@contextmanager
def whole_file(target: str | os.PathLike) -> Iterator[TextIO]:
    """
    Give a temporary file to write UTF-8 text into, and move it to `target` at the end.

    An interrupted run leaves what was there before. A missing folder is created. A device or a pipe is written directly.

    Raises:
        IsADirectoryError: If `target` is a folder.
        OSError: If the file cannot be written. The message names `target` and the free space.
    """
    with _whole(Path(target)) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        yield text
        text.detach()  # writes what is left, and keeps the file open


def write_whole(path: str | os.PathLike, content: str | bytes) -> None:
    """Write a file, text as UTF-8. A missing folder is created, and errors are those of `whole_file`."""
    with _whole(Path(path)) as file:
        file.write(content.encode("utf-8") if isinstance(content, str) else content)


@contextmanager
def staging_folder(target: str | os.PathLike, inside: bool = False) -> Iterator[Path]:
    """
    Give a temporary folder, and delete it at the end. If you move it, it stays.

    Args:
        target: What is made with the folder. The name of the folder follows from it.
        inside: Whether the folder is inside of `target`, and not beside it. Missing folders are created.
    """
    target = Path(os.path.abspath(target))  # so that "." has a name
    parent = target if inside else target.parent
    with explain_write_errors(target):
        make_folder(parent)
        clean_up(target, parent)
        folder, lock = _create_folder(target, parent)
        try:
            yield folder
        finally:
            delete(folder)
            release(lock)


def save_through(target: str | os.PathLike, staging: Path, last: str = "") -> list[Path]:
    """
    Move the files of a finished folder into `target`, each in one step.

    Args:
        target: Where they go. Other files there stay.
        staging: The finished folder.
        last: The end of the name of the file to move last.

    Returns:
        The new paths.
    """
    target, moved = Path(target), []
    with explain_write_errors(target):
        make_folder(target)
        sync_tree(staging)
        files = [path for path in staging.rglob("*") if not path.is_dir()]
        for path in sorted(files, key=lambda path: (bool(last) and path.name.endswith(last), path)):
            place = target / path.relative_to(staging)
            make_folder(place.parent)
            moved.append(path.replace(place))
        sync(target)
    return moved


@contextmanager
def explain_write_errors(target: str | os.PathLike) -> Iterator[None]:
    """
    Name the target and the free space in every error of writing: a full disk, a quota, a missing right, a broken disk.

    Errors of other kinds, and those of reading other files, pass unchanged.

    Raises:
        OSError: With the number of the error of the system.
    """
    target = Path(os.path.abspath(target))
    try:
        yield
    except Exception as error:
        if (code := _code_of(error, target)) is None:
            raise
        free = shutil.disk_usage(next(path for path in (target, *target.parents) if os.path.exists(path))).free
        what = "Free some space" if code in FULL else "Repair that"
        message = (
            f"The target was not made, because it could not be written ({os.strerror(code)}; {free / 1e9:.3f} GB are free "
            f"on this disk). What was there before is unchanged. {what}, or name another place"
        )
        raise OSError(code, message, str(target)) from error


def make_folder(folder: Path) -> None:
    """Create a folder and those above it. Raises a `NotADirectoryError` if one of them is a file."""
    require_no_file(folder)
    folder.mkdir(parents=True, exist_ok=True)


def require_no_file(folder: Path) -> None:
    """Raise a `NotADirectoryError` if a folder, or one above it, is a file."""
    place = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
    if not os.path.isdir(place):
        raise NotADirectoryError(errno.ENOTDIR, "This is not a folder. Name another, or move it away", str(place))


def clean_up(target: Path, parent: Path | None = None) -> None:
    """Delete what crashed runs have left of a target. What a running one holds stays."""
    for path in leftovers(target, PARTIAL, parent):
        if path.is_symlink():  # of an old target; its running writer deletes it, too
            delete(path)
            continue
        with suppress(BlockingIOError):
            if (lock := hold(path)) is not None:
                delete(path)
                release(lock)


def leftovers(target: Path, ending: str, parent: Path | None = None) -> list[Path]:
    """Return the temporary files and folders of a target, of running writers and of crashed ones."""
    pattern = re.compile(f"{re.escape(_beginning(target))}[0-9a-f]{{8}}{re.escape(ending)}")
    with suppress(OSError), os.scandir(target.parent if parent is None else parent) as entries:
        return [Path(entry.path) for entry in entries if pattern.fullmatch(entry.name)]
    return []


def hold(path: Path) -> int | None:
    """
    Lock a file or a folder until `release`, or until this process and its children end.

    Returns:
        A descriptor, or None if nothing is there, or the disk has no locks.

    Raises:
        BlockingIOError: If somebody else holds the lock.
    """
    if fcntl is None:
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The name may lead to another file by now.
        if os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False)):
            return descriptor
    except BlockingIOError:
        os.close(descriptor)
        raise
    except OSError:
        pass
    os.close(descriptor)
    return None


def release(lock: int | None) -> None:
    """Give back what `hold` returned, also for children that were forked meanwhile."""
    if lock is not None:
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_UN)
        os.close(lock)


def delete(path: Path) -> None:
    """Delete a file, a link or a folder as far as that is possible."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def sync_tree(folder: Path) -> None:
    """Wait until the content of a folder is on the disk, so that a crash of the machine does not empty files."""
    paths = [path for path in folder.rglob("*") if not path.is_symlink() and (path.is_file() or path.is_dir())]
    # One disk serves several waiting threads at once.
    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(sync, [*paths, folder]):
            pass


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    if path.is_dir() and fcntl is None:
        return  # Windows opens no folders
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError:
        return
    try:
        _sync_descriptor(descriptor)
    finally:
        os.close(descriptor)


def temporary_path(target: Path, ending: str = PARTIAL, parent: Path | None = None) -> Path:
    """Return a new path for what becomes `target`."""
    parent = target.parent if parent is None else parent
    return parent / f"{_beginning(target)}{secrets.token_hex(4)}{ending}"


@contextmanager
def _whole(target: Path) -> Iterator[BinaryIO]:
    with explain_write_errors(target):
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, "This is a folder. Name a file", str(target))
        if target.exists() and not target.is_file():
            with open(target, "wb") as device:
                yield device
            return
        make_folder(target.parent)
        clean_up(target)
        path, file = _create_file(target)
        try:
            with file:
                yield file
                file.flush()
                _sync_descriptor(file.fileno())
                if fcntl is None:
                    file.close()  # Windows moves no open file
                os.replace(path, target)
        except BaseException:
            delete(path)
            raise
        sync(target.parent)


def _create_file(target: Path) -> tuple[Path, BinaryIO]:
    """Create a temporary file and lock it. It gets the usual permissions."""
    while True:
        path = temporary_path(target)
        try:
            file = open(path, "xb")  # noqa: SIM115
        except FileExistsError:
            continue
        if _lock_new(file.fileno(), path):
            return path, file
        file.close()


def _create_folder(target: Path, parent: Path) -> tuple[Path, int | None]:
    """Create a temporary folder and lock it. It gets the usual permissions."""
    while True:
        path = temporary_path(target, parent=parent)
        with suppress(FileExistsError):
            path.mkdir()
            if fcntl is None:
                return path, None
            with suppress(FileNotFoundError):
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                if _lock_new(descriptor, path):
                    return path, descriptor
                os.close(descriptor)


def _lock_new(descriptor: int, path: Path) -> bool:
    """Lock what was just created. Returns False if somebody took it for a leftover before it was locked."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # no locks on this disk: nobody else gets one either
        return True
    with suppress(OSError):
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    return False


def _beginning(target: Path) -> str:
    # Trainer may be uploading the folder in another thread. It skips names that start with an underscore.
    name = target.name
    if len(os.fsencode(name)) > LONGEST_NAME:
        name = f"{name[: LONGEST_NAME // 4]}-{zlib.crc32(os.fsencode(name)):08x}"
    return f"_{name}-"


def _code_of(error: Exception, target: Path) -> int | None:
    """Return the number of an error of writing. None stands for other errors, and for those that are explained."""
    if not isinstance(error, OSError):
        found = RUST_ERROR.search(str(error))
        return int(found.group(1)) if found and int(found.group(1)) in FULL else None
    explained = error.filename is not None and error.strerror != os.strerror(error.errno or 0)
    if error.errno not in (*FULL, *REFUSED) or explained:
        return None
    # That another file cannot be read is another matter.
    named = [
        Path(os.path.abspath(os.fsdecode(name))) for name in (error.filename, error.filename2) if name is not None
    ]
    if not named:  # a missing right names its file, or it is that of a connection
        return error.errno if error.errno in (*FULL, errno.EIO, errno.EROFS, errno.ESTALE) else None
    return error.errno if any(_belongs_to(path, target) for path in named) else None


def _belongs_to(path: Path, target: Path) -> bool:
    """Return whether a path is that of a target, above it, in it, or in its temporary files."""
    temporary = any(part.startswith(_beginning(target)) for part in path.parts)
    return temporary or path in (target, *target.parents) or target in path.parents


def _sync_descriptor(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in CANNOT_SYNC:
            raise

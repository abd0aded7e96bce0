"""Write folders and files atomically: a reader sees the old content or the new one, never a part."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


@contextmanager
def whole_folder(target: str | os.PathLike, overwrite: bool = True) -> Iterator[Path]:
    """
    Give a temporary folder to write into, and move it to `target` at the end.

    An interrupted run leaves what was there before.

    Args:
        target: Path of the finished folder. Missing parents are created.
        overwrite: Whether to delete what is at `target`. An empty folder is always replaced.

    Yields:
        The temporary folder, beside `target`.

    Raises:
        FileExistsError: If there is something at `target` and `overwrite` is False.
    """
    target = Path(os.path.abspath(target))  # so that "." has a name
    if not overwrite:
        require_absent(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        yield building
        building.chmod(_default_mode())
        if not overwrite:
            require_absent(target)
        _replace(target, building)
    finally:
        shutil.rmtree(building, ignore_errors=True)


@contextmanager
def whole_file(target: str | os.PathLike) -> Iterator[TextIO]:
    """
    Give a temporary file to write UTF-8 text into, and move it to `target` at the end.

    An interrupted run leaves what was there before. A missing folder is created.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"_{target.name}-", dir=target.parent) as staging:
        whole = Path(staging) / target.name
        with open(whole, "w", encoding="utf-8", newline="") as file:
            yield file
        os.replace(whole, target)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file, text as UTF-8. A missing folder is created."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Trainer may be uploading this folder in another thread. It skips names that start with an underscore.
    with tempfile.TemporaryDirectory(prefix=f"_{path.name}-", dir=path.parent) as staging:
        whole = Path(staging) / path.name
        whole.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        os.replace(whole, path)


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


def _replace(target: Path, building: Path) -> None:
    if not target.exists():
        building.rename(target)
        return
    # Move the old folder away first: a folder cannot be renamed over one with files.
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}-old-", dir=target.parent))
    try:
        target.rename(aside / target.name)
        building.rename(target)
    except BaseException:
        if not target.exists():
            (aside / target.name).rename(target)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _default_mode() -> int:
    """Return the usual permissions of a new folder. mkdtemp gives stricter ones."""
    mask = os.umask(0)  # the only way to read it
    os.umask(mask)
    return 0o777 & ~mask


__all__ = ["is_free", "require_absent", "whole_file", "whole_folder", "write_whole"]

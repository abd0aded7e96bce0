"""Folders and files that appear whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_folder(target: str | os.PathLike, overwrite: bool = True) -> Iterator[Path]:
    """
    A new folder to write into that takes the place of `target` once everything is written: an interrupted run leaves
    either what was there before or the whole new folder.

    Args:
        target: Where the folder is to appear; folders above it are made.
        overwrite: Whether something may be there already, which is deleted then. An empty folder always may.

    Raises:
        FileExistsError: if something is there and must not be overwritten.
    """
    target = Path(os.path.abspath(target))  # "." has a name then
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


def write_whole(path: Path, content: str | bytes):
    """Writes a file, text in UTF-8, and its folder where there is none: readers see the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Trainer, which may be uploading this folder right now, leaves out what begins like this.
    with tempfile.TemporaryDirectory(prefix=f"_{path.name}-", dir=path.parent) as staging:
        whole = Path(staging) / path.name
        whole.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        os.replace(whole, path)


def is_free(target: Path) -> bool:
    """Whether there is nothing at `target`, or an empty folder."""
    if target.is_dir():
        return not any(target.iterdir())
    return not target.exists() and not target.is_symlink()


def require_absent(target: Path):
    """Raises a `FileExistsError` unless [`is_free`]."""
    if not is_free(target):
        raise FileExistsError(f"{target} exists already: choose another name, delete it, or ask to overwrite it.")


def _replace(target: Path, building: Path):
    if not target.exists():
        building.rename(target)
        return
    # The old folder steps aside first, so that at no time one of them is there in part.
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
    """The permissions that a new folder has, which the system tells only to those who set them."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o777 & ~mask


__all__ = ["is_free", "require_absent", "whole_folder"]

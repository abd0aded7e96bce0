"""
The manifest of a checkpoint: the size and checksum of each file, and the progress of the run.

It is written last. So a checkpoint is whole if its files fit the manifest, and otherwise unfinished or damaged.
"""

import json
import os
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from ..utils.files import write_whole

MANIFEST = "manifest.json"


class ResumeError(ValueError):
    """A run cannot resume from a checkpoint, or from any checkpoint in a folder."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """
    The contents of a finished checkpoint, and the progress of the run.

    Attributes:
        step: Optimizer steps so far.
        samples_seen: Samples so far, over all processes and accumulation steps.
        num_processes: Number of processes that wrote the checkpoint.
        files: Size in bytes and crc32 of every file, by its path within the checkpoint.
    """

    step: int
    samples_seen: int
    num_processes: int
    files: dict[str, tuple[int, int]]


def write_manifest(folder: Path, step: int, samples_seen: int, num_processes: int):
    """Write the manifest of the files that are in `folder` now. Readers see all of it or nothing."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        checksums = list(pool.map(_checksum, paths))
    files = {
        path.relative_to(folder).as_posix(): (path.stat().st_size, checksum)
        for path, checksum in zip(paths, checksums, strict=True)
    }
    content = {"step": step, "samples_seen": samples_seen, "num_processes": num_processes, "files": files}
    content["crc32"] = zlib.crc32(json.dumps(content).encode())
    write_whole(folder / MANIFEST, json.dumps(content, indent=1) + "\n")


def read_manifest(folder: Path) -> Manifest:
    """
    Read the manifest of a checkpoint.

    Raises:
        ResumeError: If the manifest is missing or damaged.
    """
    path = folder / MANIFEST
    try:
        content = json.loads(path.read_bytes())
        checksum = content.pop("crc32")
        manifest = Manifest(**content)
    except FileNotFoundError:
        raise ResumeError(f"{folder} has no {MANIFEST}: the checkpoint is unfinished.") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ResumeError(f"{path} cannot be read ({type(error).__name__}: {error}).") from None
    if checksum != zlib.crc32(json.dumps(content).encode()):
        raise ResumeError(f"{path} is damaged: its checksum is wrong.")
    return manifest


def check_files(folder: Path, manifest: Manifest):
    """
    Compare the files of a checkpoint with its manifest. This reads all files.

    Raises:
        ResumeError: For the first file that is missing or differs.
    """
    for name, (size, _) in manifest.files.items():
        if not (folder / name).is_file():
            raise ResumeError(f"{folder / name} is missing.")
        if (found := (folder / name).stat().st_size) != size:
            raise ResumeError(f"{folder / name} has {found} bytes, expected {size}.")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        checksums = pool.map(_checksum, (folder / name for name in manifest.files))
        for name, (_, written) in manifest.files.items():
            try:
                found = next(checksums)
            except OSError as error:
                raise ResumeError(f"{folder / name} cannot be read ({error}).") from None
            if found != written:
                raise ResumeError(f"{folder / name} is damaged (crc32 {found:08x}, expected {written:08x}).")


@dataclass(frozen=True, kw_only=True)
class FoundCheckpoint:
    """
    The newest whole checkpoint of a folder.

    Attributes:
        path: The checkpoint, or None if none was ever finished, so that a run may start from the beginning.
        problems: One sentence for each newer checkpoint that is not whole.
    """

    path: Path | None
    problems: tuple[str, ...] = ()


def last_good_checkpoint(folder: str | os.PathLike) -> FoundCheckpoint:
    """
    Find the newest checkpoint in `folder` whose files fit its manifest.

    Raises:
        ResumeError: If checkpoints were finished, and all of them are damaged.
    """
    problems, damaged = [], False
    for path in checkpoints(Path(folder)):
        try:
            check_files(path, read_manifest(path))
        except ResumeError as error:
            problems.append(str(error))
            # Trainer writes trainer_state.json last: without it and the manifest the checkpoint was never finished.
            damaged = damaged or (path / MANIFEST).exists() or (path / "trainer_state.json").exists()
        else:
            return FoundCheckpoint(path=path, problems=tuple(problems))
    if damaged:
        raise ResumeError(
            f"No checkpoint in {folder} can be resumed from:\n"
            + "".join(f"- {problem}\n" for problem in problems)
            + "Restore a copy of one. To start from the beginning, delete them or name another folder; a new run would "
            "overwrite them."
        )
    return FoundCheckpoint(path=None, problems=tuple(problems))


def checkpoints(folder: Path) -> list[Path]:
    """Return the folders of checkpoints, newest first."""
    paths = [path for path in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*") if path.name.rpartition("-")[2].isdigit()]
    return sorted((path for path in paths if path.is_dir()), key=step_of, reverse=True)


def step_of(path: Path) -> int:
    """Return the step in the name of a checkpoint's folder: `checkpoint-90` -> 90."""
    return int(path.name.rpartition("-")[2])


def _checksum(path: Path, block: int = 1 << 24) -> int:
    checksum = 0
    with path.open("rb") as file:
        while data := file.read(block):
            checksum = zlib.crc32(data, checksum)
    return checksum

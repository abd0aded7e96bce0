"""
The manifest of a checkpoint: size and checksum of each of its files, how far the run had come. It is written last, so a
checkpoint is whole if its files fit it, and unfinished or damaged otherwise.
"""

import json
import os
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from modeling_glm.utils.files import write_whole

MANIFEST = "manifest.json"


class CheckpointError(ValueError):
    """A checkpoint, or all of them, cannot be resumed from."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a finished checkpoint holds, and how far the run had come."""

    step: int
    samples_seen: int  # by all processes together, over all accumulation steps
    num_processes: int
    files: dict[str, tuple[int, int]]  # path within the checkpoint: bytes, crc32


def write_manifest(folder: Path, step: int, samples_seen: int, num_processes: int):
    """Writes the manifest of the files that are in `folder` now; it appears whole or not at all."""
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
    The manifest of a checkpoint.

    Raises:
        CheckpointError: if it is missing or is not what was written.
    """
    path = folder / MANIFEST
    try:
        content = json.loads(path.read_bytes())
        checksum = content.pop("crc32")
        manifest = Manifest(**content)
    except FileNotFoundError:
        raise CheckpointError(f"{folder} has no {MANIFEST}: it was not written to its end.") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{path} cannot be read ({type(error).__name__}: {error}).") from None
    if checksum != zlib.crc32(json.dumps(content).encode()):
        raise CheckpointError(f"{path} has other contents than were written.")
    return manifest


def check_files(folder: Path, manifest: Manifest):
    """
    Compares the files of a checkpoint with its manifest; reads all of them.

    Raises:
        CheckpointError: for the first file that is missing or is not what was written.
    """
    for name, (size, _) in manifest.files.items():
        if not (folder / name).is_file():
            raise CheckpointError(f"{folder / name} is missing.")
        if (found := (folder / name).stat().st_size) != size:
            raise CheckpointError(f"{folder / name} has {found} bytes, {size} were written.")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        checksums = pool.map(_checksum, (folder / name for name in manifest.files))
        for name, (_, written) in manifest.files.items():
            try:
                found = next(checksums)
            except OSError as error:
                raise CheckpointError(f"{folder / name} cannot be read ({error}).") from None
            if found != written:
                raise CheckpointError(
                    f"{folder / name} has other contents than were written (crc32 {found:08x}, not {written:08x})."
                )


def last_good_checkpoint(folder: str | os.PathLike) -> tuple[Path | None, list[str]]:
    """
    The newest checkpoint in `folder` whose files fit its manifest, and what is wrong with each newer one. `None` where
    no checkpoint was ever finished: a run may start from the beginning there.

    Raises:
        CheckpointError: if checkpoints were finished, and none can be resumed from.
    """
    problems, damaged = [], False
    for path in checkpoints(Path(folder)):
        try:
            check_files(path, read_manifest(path))
        except CheckpointError as error:
            problems.append(str(error))
            # The file that Trainer writes last: without it nobody could have resumed from here.
            damaged = damaged or (path / MANIFEST).exists() or (path / "trainer_state.json").exists()
        else:
            return path, problems
    if damaged:
        raise CheckpointError(
            f"None of the checkpoints in {folder} can be resumed from:\n"
            + "".join(f"- {problem}\n" for problem in problems)
            + "Put a copy of one back, or delete them or name another folder to start from the beginning: that would "
            "overwrite these."
        )
    return None, problems


def checkpoints(folder: Path) -> list[Path]:
    """The folders of checkpoints, newest first."""
    paths = [path for path in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*") if path.name.rpartition("-")[2].isdigit()]
    return sorted((path for path in paths if path.is_dir()), key=step_of, reverse=True)


def step_of(path: Path) -> int:
    """The step that a checkpoint's folder is named after."""
    return int(path.name.rpartition("-")[2])


def _checksum(path: Path, block: int = 1 << 24) -> int:
    checksum = 0
    with path.open("rb") as file:
        while data := file.read(block):
            checksum = zlib.crc32(data, checksum)
    return checksum

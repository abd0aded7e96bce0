"""
The manifest of a checkpoint: the size and checksum of each file, and the progress of the run.

It is written behind the last file, at once and with the sizes only, because reading a large model again takes time. From
here on the checkpoint is whole. The checksums follow. A checkpoint without a manifest was never finished. One whose files
do not fit its manifest is damaged.
"""

import contextlib
import json
import os
import shutil
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from ..tokenization.saving import sync
from ..utils.files import write_whole

MANIFEST = "manifest.json"


class ResumeError(ValueError):
    """A run cannot resume from a checkpoint, or from any checkpoint in a folder."""


class UnfinishedError(ResumeError):
    """A checkpoint was never finished: the run that wrote it was stopped."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """
    The contents of a finished checkpoint, and the progress of the run.

    Attributes:
        step: Optimizer steps so far.
        samples_seen: Samples so far, over all processes and accumulation steps.
        num_processes: Number of processes that wrote the checkpoint.
        files: Size in bytes and crc32 of every file, by its path within the checkpoint. The checksums are None until they
            are known.
        logged_step: Step of the last loss in the log. None in checkpoints of earlier versions.
        losses: Sum of the losses since then, of every process.
        boot: Identifier of the start of the machine that wrote the files, until the checksums are known. The files may not
            have reached the disk before a later start.
    """

    step: int
    samples_seen: int
    num_processes: int
    files: dict[str, tuple[int, int | None]]
    logged_step: int | None = None
    losses: tuple[float, ...] = ()
    boot: str | None = None

    @property
    def has_checksums(self) -> bool:
        return all(checksum is not None for _, checksum in self.files.values())


def write_manifest(
    folder: Path,
    step: int,
    samples_seen: int,
    num_processes: int,
    logged_step: int | None = None,
    losses: Sequence[float] = (),
) -> Manifest:
    """
    Write the manifest of the files that are in `folder` now, without checksums. Readers see all of it or nothing.

    The time does not depend on the sizes of the files.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    manifest = Manifest(
        step=step,
        samples_seen=samples_seen,
        num_processes=num_processes,
        files={path.relative_to(folder).as_posix(): (path.stat().st_size, None) for path in paths},
        logged_step=logged_step,
        losses=tuple(losses),
        boot=_boot(),
    )
    _write(folder, manifest)
    return manifest


def add_checksums(folder: Path, manifest: Manifest) -> Manifest:
    """
    Add the checksums to the manifest of a checkpoint, once its files are on the disk. This reads all files.

    Raises:
        OSError: If a file cannot be read or written to the disk.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        checksums = list(pool.map(_store, (folder / name for name in manifest.files)))
    for place in {(folder / name).parent for name in manifest.files} | {folder}:
        sync(place)
    files: dict[str, tuple[int, int | None]] = {
        name: (size, checksum) for (name, (size, _)), checksum in zip(manifest.files.items(), checksums, strict=True)
    }
    manifest = replace(manifest, files=files, boot=None)
    _write(folder, manifest)
    return manifest


def _write(folder: Path, manifest: Manifest):
    content = json.loads(json.dumps(asdict(manifest)))
    content["crc32"] = zlib.crc32(json.dumps(content).encode())
    write_whole(folder / MANIFEST, json.dumps(content, indent=1) + "\n")


def read_manifest(folder: Path) -> Manifest:
    """
    Read the manifest of a checkpoint.

    Raises:
        UnfinishedError: If the checkpoint has none.
        ResumeError: If the manifest is damaged.
    """
    path = folder / MANIFEST
    try:
        content = json.loads(path.read_bytes())
        checksum = content.pop("crc32")
        content["files"] = {name: (int(size), known) for name, (size, known) in content["files"].items()}
        manifest = Manifest(**content)
    except FileNotFoundError:
        raise UnfinishedError(f"{folder} has no {MANIFEST}: the checkpoint is unfinished.") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ResumeError(f"{path} cannot be read ({type(error).__name__}: {error}).") from None
    if checksum != zlib.crc32(json.dumps(content).encode()):
        raise ResumeError(f"{path} is damaged: its checksum is wrong.")
    return manifest


def check_files(folder: Path, manifest: Manifest):
    """
    Compare the files of a checkpoint with its manifest. This reads all files that have a checksum.

    Raises:
        UnfinishedError: If the machine stopped before the checksums were known.
        ResumeError: For the first file that is missing or differs.
    """
    if not manifest.has_checksums and manifest.boot != _boot():
        raise UnfinishedError(f"{folder} has no checksums: the machine stopped before all files were on the disk.")
    for name, (size, _) in manifest.files.items():
        if not (folder / name).is_file():
            raise ResumeError(f"{folder / name} is missing.")
        if (found := (folder / name).stat().st_size) != size:
            raise ResumeError(f"{folder / name} has {found} bytes, expected {size}.")
    known = {name: checksum for name, (_, checksum) in manifest.files.items() if checksum is not None}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        checksums = pool.map(_checksum, (folder / name for name in known))
        for name, written in known.items():
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
            damaged = damaged or not isinstance(error, UnfinishedError)
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


def delete_checkpoint(folder: Path):
    """Delete a checkpoint, the manifest first: what a kill leaves of it is unfinished, not damaged."""
    with contextlib.suppress(OSError):
        (folder / MANIFEST).unlink()
    shutil.rmtree(folder, ignore_errors=True)


def _checksum(path: Path, block: int = 1 << 24) -> int:
    checksum = 0
    with path.open("rb") as file:
        while data := file.read(block):
            checksum = zlib.crc32(data, checksum)
    return checksum


def _store(path: Path) -> int:
    """Wait until a file is on the disk, and return its checksum."""
    sync(path)
    return _checksum(path)


def _boot() -> str | None:
    """Return an identifier of the start of this machine, or None where there is none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None

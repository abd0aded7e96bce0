"""Made-up packages in the forms of the registries, with a catalog that pins them."""

import gzip
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from examples.corpora.archives.catalog import Archive, ArchivedFile

# Without the time, so that the same members make the same archive.
GZIP = partial(gzip.compress, mtime=0)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def make_tar(members: dict[str, bytes], compress: Callable[[bytes], bytes] = GZIP) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return compress(buffer.getvalue())


def make_zip(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


def make_debian(members: dict[str, bytes]) -> bytes:
    """An `ar` archive: headers of 60 bytes, members at even positions."""
    content = b"!<arch>\n"
    for name, data in members.items():
        content += (
            f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode() + data + b"\n" * (len(data) % 2)
        )
    return content


def make_wheel(package: str, version: str, members: dict[str, bytes]) -> bytes:
    info = f"{package}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n".encode()
    wheel = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    return make_zip({**members, f"{info}/METADATA": metadata, f"{info}/WHEEL": wheel, f"{info}/RECORD": b""})


def pin(package: str, content: bytes, files: dict[str, tuple[str, bytes]], **fields) -> Archive:
    """Return the catalog's entry of an archive. `files` has the member and the content by name."""
    defaults = {
        "version": "1.0",
        "client": "pip",
        "archive": f"{package}-1.0.tar.gz",
        "room": 0,
        "page": f"https://example.org/{package}",
        "contents": "made-up text",
        "license": "made up",
        "use": "any",
    }
    listed = tuple(
        ArchivedFile(name=name, member=member, bytes=len(data), sha256=sha256(data))
        for name, (member, data) in files.items()
    )
    return Archive(package=package, bytes=len(content), sha256=sha256(content), files=listed, **defaults | fields)


class MadeUpRegistry:
    """Archives to fetch, and the names of those that were fetched."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self.fetched: list[str] = []

    def add(self, package: str, texts: dict[str, bytes]) -> Archive:
        content = make_tar({f"{package}/{name}": text for name, text in texts.items()})
        archive = pin(package, content, {name: (f"{package}/{name}", text) for name, text in texts.items()})
        self.contents[package] = content
        return archive

    def fetch(self, archive: Archive, folder: Path) -> Path:
        self.fetched.append(archive.package)
        path = folder / archive.archive
        path.write_bytes(self.contents[archive.package])
        return path

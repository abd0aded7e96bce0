"""Find the parts of a `torch.save` file: its pickle, and where the bytes of every storage lie."""

import io
import mmap
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple

from .pickles import PickleReader

ARCHIVE_START = b"PK\x03\x04"
LOCAL_HEADER = struct.Struct("<4s22xHH")  # its signature, and the lengths of the name and of the extra field
# The numbers with which a file of torch before version 1.6 begins.
MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
PROTOCOL_VERSION = 1001


class Region(NamedTuple):
    """
    Say where the bytes of a storage lie in a file.

    Attributes:
        start, length: Its first byte, and the number of its bytes.
        checksum: CRC-32 of the bytes; 0 if the file has none.
    """

    start: int
    length: int
    checksum: int = 0


@dataclass(frozen=True, kw_only=True)
class SavedFile:
    """
    Describe what a file of `torch.save` holds.

    Attributes:
        content: The object, as `PickleReader` describes it.
        regions: Where every storage lies, by its key. Whoever reads one compares it with its checksum.
        is_big_endian: Whether the bytes of each element are in the order of big-endian machines.
    """

    content: Any
    regions: dict[str, Region]
    is_big_endian: bool = False


def read_saved_file(path: Path) -> SavedFile:
    """
    Read what a file of `torch.save` holds, but not the elements of its tensors.

    Raises:
        UnsafePickleError: if the file holds objects that could run code.
        UnpicklingError: if it is damaged or something else.
        zipfile.BadZipFile: if it is a damaged archive.
    """
    with open(path, "rb") as file:
        start = file.read(512)
    if not start:
        raise UnpicklingError("it is empty")
    if start.startswith(ARCHIVE_START):
        return _read_archive(path)
    if start[257:262] == b"ustar":
        raise UnpicklingError(
            "it is a tar file, as torch wrote before version 0.1.10; expected one of a later version"
        )
    return _read_pickles(path)


def _read_archive(path: Path) -> SavedFile:
    """Read an archive: `NAME/data.pkl`, and `NAME/data/KEY` for each storage. Its parts are stored as they are."""
    size = path.stat().st_size
    with zipfile.ZipFile(path) as archive, open(path, "rb") as file:
        parts: dict[str, zipfile.ZipInfo] = {}
        for part in archive.infolist():
            # torch and Python would choose different ones of two parts of one name.
            if part.filename in parts:
                raise zipfile.BadZipFile(f"it has two parts named {part.filename!r}")
            if part.compress_type != zipfile.ZIP_STORED:
                raise zipfile.BadZipFile(f"its part {part.filename!r} is compressed, which torch.save never does")
            parts[part.filename] = part
        if sum(part.file_size for part in parts.values()) > size:
            raise zipfile.BadZipFile("its parts overlap or reach beyond its end")
        pickles = [name for name in parts if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise UnpicklingError(f"it is an archive with {len(pickles)} parts named data.pkl, expected one")
        folder = pickles[0].removesuffix("data.pkl")
        if f"{folder}constants.pkl" in parts:
            raise UnpicklingError("it is an archive of TorchScript; expected the state dict of a model")
        reader = PickleReader()
        content = reader.read(io.BytesIO(archive.read(pickles[0])))
        stored = {key: parts[f"{folder}data/{key}"] for key in reader.storages if f"{folder}data/{key}" in parts}
        # torch.serialization.set_crc32_options(False) writes parts with the checksum 0.
        regions = {key: Region(_find_start(file, part), part.file_size, part.CRC) for key, part in stored.items()}
        order = archive.read(f"{folder}byteorder") if f"{folder}byteorder" in parts else b"little"
    if any(region.start + region.length > size for region in regions.values()):
        raise zipfile.BadZipFile("a part reaches beyond its end")
    return SavedFile(content=content, regions=regions, is_big_endian=order == b"big")


def _find_start(file: Any, part: zipfile.ZipInfo) -> int:
    """Find the first byte of a part. It stands behind a header, a name and padding."""
    file.seek(part.header_offset)
    header = file.read(LOCAL_HEADER.size)
    if len(header) < LOCAL_HEADER.size or not header.startswith(ARCHIVE_START):
        raise zipfile.BadZipFile(f"its part {part.filename!r} has no header")
    _, name, extra = LOCAL_HEADER.unpack(header)
    return part.header_offset + LOCAL_HEADER.size + name + extra


def _read_pickles(path: Path) -> SavedFile:
    """
    Read a file of torch before version 1.6.

    It has five pickles: two numbers that mark the format, facts about the machine, the object, and the keys of the
    storages in their order. For each of these follow the number of its elements in 8 bytes, and the elements.
    """
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        reader = PickleReader()
        marks = [reader.read(mapped), reader.read(mapped)]
        if marks != [MAGIC_NUMBER, PROTOCOL_VERSION]:
            raise UnpicklingError("it does not begin with the numbers that mark the format")
        reader.read(mapped)
        content = reader.read(mapped)
        keys = reader.read(mapped)
        if not isinstance(keys, list) or set(map(type, keys)) - {str} or sorted(keys) != sorted(reader.storages):
            raise UnpicklingError("its list of storages is not that of its tensors")
        regions = {}
        position = mapped.tell()
        for key in keys:
            storage = reader.storages[key]
            length = storage.count * storage.dtype.itemsize
            if mapped[position : position + 8] != struct.pack("<Q", storage.count):
                raise UnpicklingError(f"the storage {key} is not of the size that it should have")
            regions[key] = Region(position + 8, length)
            position += 8 + length
        if position > len(mapped):
            raise UnpicklingError(f"it ends after {len(mapped):,} bytes, expected {position:,}")
    return SavedFile(content=content, regions=regions)


__all__ = ["Region", "SavedFile", "read_saved_file"]

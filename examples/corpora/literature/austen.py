"""
Read the chapters of Jane Austen's six novels from the R data that the Debian package `r-cran-janeaustenr` ships.

R keeps the data of a package in two files. `Rdata.rdx` says where each novel starts in `Rdata.rdb` and how long it is; both
are serialized R objects, compressed. A novel is a vector of lines as they are printed.
"""

import gzip
import re
import struct
import zlib
from pathlib import Path

from ..archives.folder import require
from .chapters import Chapter

PACKAGE, INDEX, DATA = "r-cran-janeaustenr", "Rdata.rdx", "Rdata.rdb"
# By the year in which they appeared, with the number of their chapters.
NOVELS = {
    "sensesensibility": 50,
    "prideprejudice": 61,
    "mansfieldpark": 48,
    "emma": 55,
    "northangerabbey": 31,
    "persuasion": 24,
}
CHAPTER = re.compile(r"chapter ([ivxl]+|\d+)", re.IGNORECASE)
# What is not part of the novel: ends of volumes, rows of stars, the printer's note, the footnote.
VOLUME = re.compile(r"VOLUME [IVX]+|FINIS|THE END|Finis|[*\s]+")
EDITORS_NOTE = re.compile(r"\[(End volume|At this point in the first).*?\]|\*Vide .*", re.DOTALL)
AFTERWORD = "A NOTE ON THE TEXT"


def austen_chapters(folder: Path | None = None) -> list[Chapter]:
    """
    Return the chapters of the six novels, novel by novel in the order of the years in which they appeared.

    Chapters are counted through all volumes of a novel. The underscores around emphasized words are left out.

    Args:
        folder: The folder with `Rdata.rdx` and `Rdata.rdb`. Default: the one that `make data` filled.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file has another form, or a novel has other chapters than expected.
    """
    index, data = (require(PACKAGE, name) if folder is None else folder / name for name in (INDEX, DATA))
    lines = _read_novels(index, data)
    chapters = []
    for novel, expected in NOVELS.items():
        found = _split_chapters(lines[novel])
        if len(found) != expected:
            raise ValueError(
                f"{data} is another edition: expected {expected} chapters in {novel}, got {len(found)}. Delete the file "
                "and run make data."
            )
        chapters += [Chapter(f"austen:{novel} {number}", _paragraphs(text)) for number, text in enumerate(found, 1)]
    return chapters


def _read_novels(index: Path, data: Path) -> dict[str, list[str]]:
    """Return the lines of every novel."""
    stored = data.read_bytes()
    try:
        places = _from_r(gzip.decompress(index.read_bytes()))["variables"]
        return {novel: [str(line) for line in _from_r(_unpack(stored, *places[novel]))] for novel in NOVELS}
    except (
        OSError,
        EOFError,
        zlib.error,
        struct.error,
        LookupError,
        TypeError,
        ValueError,
        NotImplementedError,
    ) as error:
        raise ValueError(
            f"{data} and {index.name} are not the data of {PACKAGE} 1.0.0 ({error}). Delete both and run make data."
        ) from error


def _unpack(stored: bytes, start: int, length: int) -> bytes:
    """Return one object of a .rdb file: its size in four bytes, then its bytes as zlib packs them."""
    (size,) = struct.unpack_from(">i", stored, start)
    unpacked = zlib.decompress(stored[start + 4 : start + length])
    if len(unpacked) != size:
        raise ValueError(f"an object has {len(unpacked)} bytes, expected {size}")
    return unpacked


def _from_r(serialized: bytes):
    """Return the Python value of a serialized R object."""
    import rdata  # takes half a second, with pandas

    return rdata.conversion.convert(rdata.parser.parse_data(serialized, extension=".rds"))


def _split_chapters(lines: list[str]) -> list[str]:
    """Return the text of each chapter, without its heading. What stands before the first chapter is left out."""
    chapters: list[list[str]] = []
    for line in lines:
        if CHAPTER.fullmatch(line.strip()):
            chapters.append([])
        elif line.strip() == AFTERWORD:
            break
        elif chapters and not VOLUME.fullmatch(line):
            chapters[-1].append(line)
        elif chapters:
            chapters[-1].append("")
    return ["\n".join(chapter) for chapter in chapters]


def _paragraphs(text: str) -> list[str]:
    """Return the paragraphs of a chapter, which empty lines separate, each in one line."""
    parts = re.split(r"\n\s*\n", EDITORS_NOTE.sub("", text))
    plain = (re.sub(r"_([^_]+)_", r"\1", " ".join(part.split())) for part in parts)
    return [paragraph.replace("declared,*", "declared,") for paragraph in plain if paragraph]

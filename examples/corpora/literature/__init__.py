"""
Prose in the public domain, chapter by chapter: the World English Bible and the six novels of Jane Austen.

`make data` fetches both. A test splits by chapter: two passages of one chapter share its names and events.
"""

from .austen import austen_chapters
from .bible import bible_chapters
from .chapters import Chapter

__all__ = ["Chapter", "austen_chapters", "bible_chapters"]

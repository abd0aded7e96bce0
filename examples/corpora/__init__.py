"""
The corpus of the embedded checkpoint: plain English sentences made from what ships with Python.

Most documents state one fact: how a number is spelled, how a character is named, how a date is written. The others are
prose from the documentation of the standard library. The corpus depends only on the interpreter: its Unicode version,
its standard library and, for time zones and error messages, its platform.
"""

from .build import build_corpus, build_splits
from .documents import Document, is_held_out, split
from .families import FAMILIES

__all__ = ["FAMILIES", "Document", "build_corpus", "build_splits", "is_held_out", "split"]

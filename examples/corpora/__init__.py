"""
The texts and tasks of the examples.

- `families`, `build`: sentences made from what ships with Python. Most state one fact: how a number is spelled, how a character is
  named, how a date is written. The others are prose of the documentation. They depend only on the interpreter: its Unicode
  version, its standard library and, for time zones and error messages, its platform.
- `archives`: what `make data` fetches. `wordnet`, `literature` and `real_tasks` read it.
- `groups`: all texts to train on, with the held-out ones. `leaks` and `asked_texts` keep these and the tests of tasks out.
- `measuring`: blanks in held-out texts, baselines, and the exact match of a model.
"""

from .build import build_corpus, build_splits
from .documents import Document, is_held_out, split
from .families import FAMILIES

__all__ = ["FAMILIES", "Document", "build_corpus", "build_splits", "is_held_out", "split"]

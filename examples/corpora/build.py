"""Build the corpus from its families, and split it."""

import functools
from collections.abc import Sequence

from .documents import Document, split
from .families import FAMILIES


def build_corpus(*, families: Sequence[str] | None = None) -> list[Document]:
    """Return the documents of the families (by default of all), in a fixed order, each text once."""
    names = FAMILIES if families is None else families
    documents: dict[str, Document] = {}
    for name in names:
        for document in FAMILIES[name]():
            documents.setdefault(document.text, document)
    return list(documents.values())


@functools.cache
def build_splits() -> tuple[list[Document], list[Document]]:
    """Return the documents to train on, and the held-out ones. They are built once per process."""
    documents = build_corpus()
    return split(documents, held_out=False), split(documents, held_out=True)

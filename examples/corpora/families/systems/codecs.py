"""Codecs and their aliases."""

import encodings.aliases
from collections.abc import Iterator

from ...documents import Document, state_fact


def codecs() -> Iterator[Document]:
    templates = (
        "The codec {codec} is also called {alias}.",
        "{alias} is an alias of the codec {codec}.",
        "In Python, the alias {alias} finds the codec {codec}.",
        "Text in {alias} is decoded by {codec}.",
        "The name {alias} stands for the encoding {codec}.",
    )
    for alias, codec in sorted(encodings.aliases.aliases.items()):
        yield from state_fact("codecs", [f"codec:{alias}"], templates, alias=alias, codec=codec)

"""Entities of HTML."""

import html.entities
import unicodedata
from collections.abc import Iterator

from ...documents import Document, sample, state_fact
from .blocks import character_key, code_point


def html_entities() -> Iterator[Document]:
    templates = (
        "The HTML entity &{entity}; stands for {name}.",
        "In HTML, {name} is written &{entity}; or &#{decimal};.",
        "{name} has the HTML entity {entity} and the code point {code}.",
        "&{entity}; and &#x{hex}; both give {name} at {code}.",
        "The entity called {entity} is the character {name}, in small print {lower}.",
        "A web page shows {name} for the entity {entity}, typed &{entity};.",
    )
    entities = [
        (entity.removesuffix(";"), character)
        for entity, character in sorted(html.entities.html5.items())
        if entity.endswith(";") and len(character) == 1 and unicodedata.name(character, "")
    ]
    for entity, character in sample("entities", entities, 1300):
        yield from state_fact(
            "html_entities",
            [f"entity:{entity}", character_key(character)],
            templates,
            entity=entity,
            name=unicodedata.name(character),
            lower=unicodedata.name(character).lower(),
            code=code_point(character),
            decimal=ord(character),
            hex=f"{ord(character):X}",
        )

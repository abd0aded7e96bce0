"""File extensions and their MIME types."""

import mimetypes
from collections.abc import Iterator

from ...documents import Document, generator_of, state_fact


def mime_types() -> Iterator[Document]:
    templates = (
        "A file that ends in {extension} has the MIME type {type}.",
        "The MIME type {type} has the main type {main} and the subtype {subtype}.",
        "The type of {name}{extension} is {type}, because the name ends in {extension}.",
        "{type} is the type of files with the extension {extension}.",
        "The extension {extension} stands for {type}, of the main type {main}.",
        "A web server sends {name}{extension} as {type}.",
    )
    for extension, kind in sorted(mimetypes.MimeTypes().types_map[True].items()):
        main, _, subtype = kind.partition("/")
        fields = {"extension": extension, "type": kind, "main": main, "subtype": subtype}
        name = generator_of(extension).choice(("report", "picture", "example", "letter", "copy"))
        yield from state_fact("mime_types", [f"mime:{extension}"], templates, **fields, name=name)

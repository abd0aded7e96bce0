"""Locales, their languages and territories."""

import locale
from collections.abc import Iterator

from ...documents import Document, state_fact


def locales() -> Iterator[Document]:
    templates = (
        "The locale {name} has the language {language} and the territory {territory}.",
        "The language {language} in the territory {territory} gives the locale {name}.",
        "In the locale {name} the language is {language}.",
        "{name} joins the language {language} to the territory {territory}.",
        "The territory of the locale {name} is {territory}, after the language {language}.",
    )
    for name in sorted({alias.split(".")[0].split("@")[0] for alias in locale.locale_alias.values()}):
        language, _, territory = name.partition("_")
        if territory:
            fields = {"name": name, "language": language, "territory": territory}
            yield from state_fact("locales", [f"locale:{name}"], templates, **fields)

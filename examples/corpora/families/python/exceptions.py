"""Built-in exceptions and their base classes."""

import builtins
from collections.abc import Iterator

from ...documents import Document, join_words, state_fact, with_article


def exceptions() -> Iterator[Document]:
    templates = (
        "{name} is a subclass of {base}.",
        "The base class of {name} is {base}.",
        "An except clause for {base} also catches {name}.",
        "{name} is an exception, and whatever is {a_name} is also {a_base}.",
        "To catch {a_name} one may write except {name} or except {base}.",
        "The exceptions from {name} up are {chain}.",
    )
    for name, item in sorted(vars(builtins).items()):
        if isinstance(item, type) and issubclass(item, BaseException) and item.__name__ == name != "BaseException":
            chain = join_words([base.__name__ for base in item.__mro__[:-1]])
            base = item.__base__.__name__
            fields = {"name": name, "base": base, "chain": chain}
            fields |= {"a_name": with_article(name), "a_base": with_article(base)}
            yield from state_fact("exceptions", [f"python:builtins.{name}"], templates, **fields)

"""Functions of the standard library and their parameters."""

from collections.abc import Iterator

from ...documents import Document, join_words, sample, state_fact
from ...spelling import counted
from .definitions import find_definitions, is_public


def python_functions() -> Iterator[Document]:
    templates = (
        "The function {name} of the module {module} is called as {name}({call}).",
        "{module}.{name} takes {count}: {parameters}.",
        "To use {name}, write from {module} import {name}.",
        "Going by {module}, the function {name} has {count}, namely {parameters}.",
        "A call {module}.{name}({call}) passes {count}.",
        "The full name {module}.{name} means the function {name} in the module {module}.",
    )
    functions = [
        item
        for item in find_definitions()
        if item.parameters and len(item.parameters) < 6 and "." not in item.name and is_public(item)
    ]
    for item in sample("functions", functions, 300):
        yield from state_fact(
            "python_functions",
            [item.key],
            templates,
            module=item.module,
            name=item.name,
            call=", ".join(item.parameters),
            parameters=join_words(item.parameters),
            count=counted(len(item.parameters), "parameter"),
        )

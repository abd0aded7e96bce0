"""Classes of the standard library and their base classes."""

from collections.abc import Iterator

from ...documents import Document, sample, state_fact
from .definitions import find_definitions, is_public


def python_classes() -> Iterator[Document]:
    templates = (
        "{module}.{name} is a subclass of {base}.",
        "The base class of {name} in the module {module} is {base}.",
        "The module {module} defines the class {name} with the statement class {name}({base}).",
        "Every {name} of the module {module} is also one of {base}.",
        "To use the class {name}, write from {module} import {name}.",
    )
    classes = [item for item in find_definitions() if item.base and is_public(item) and "[" not in item.base]
    for item in sample("classes", classes, 250):
        fields = {"module": item.module, "name": item.name, "base": item.base}
        yield from state_fact("python_classes", [item.key], templates, **fields)

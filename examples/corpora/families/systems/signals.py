"""Signals of the operating system."""

import signal
from collections.abc import Iterator

from ...documents import Document, state_fact


def signals() -> Iterator[Document]:
    templates = (
        "The signal {name} has the number {code}.",
        "{name} is signal number {code}: {message}.",
        "A process that gets {name} is told: {message}.",
        "In Python, signal.{name} is {code}.",
        "{message} is what {name} means, signal {code}.",
    )
    for item in signal.Signals:
        if message := signal.strsignal(item):
            fields = {"name": item.name, "code": item.value, "message": message}
            yield from state_fact("signals", [f"signal:{item.name}"], templates, **fields)

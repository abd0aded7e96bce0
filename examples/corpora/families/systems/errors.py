"""Error numbers of the operating system."""

import errno
import os
from collections.abc import Iterator

from ...documents import Document, state_fact


def errors() -> Iterator[Document]:
    templates = (
        "The error {name} means: {message}.",
        "{message} is the message of the error {name}, number {code}.",
        "In Python, errno.{name} is {code}, and os.strerror({code}) says {message}.",
        "Error number {code} is {name}: {message}.",
        "A call that fails with {name} reports {message}.",
        "The message {message} belongs to {name}.",
    )
    for code, name in sorted(errno.errorcode.items()):
        yield from state_fact("errors", [f"errno:{name}"], templates, name=name, code=code, message=os.strerror(code))

"""Status codes of HTTP."""

import http
from collections.abc import Iterator

from ...documents import Document, state_fact

_HTTP_CLASSES = ("an informational response", "a success", "a redirection", "a client error", "a server error")


def http_status() -> Iterator[Document]:
    templates = (
        "HTTP status {code} is {phrase}, {kind}.",
        "{phrase} is the HTTP status {code}.",
        "The status {code} begins with {first}, so {phrase} is {kind}.",
        "In Python, http.HTTPStatus.{name} is {code}, {phrase}.",
        "A server that answers {code} says {phrase}.",
        "The constant {name} means {phrase}, with the code {code}.",
    )
    for status in http.HTTPStatus:
        yield from state_fact(
            "http_status",
            [f"http:{status.value}"],
            templates,
            code=status.value,
            phrase=status.phrase,
            kind=_HTTP_CLASSES[status.value // 100 - 1],
            first=str(status.value)[0],
            name=status.name,
        )

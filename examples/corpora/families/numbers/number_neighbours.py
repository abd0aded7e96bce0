"""Numbers before and after a number."""

from collections.abc import Iterator

from ...documents import Document, sample, state_fact
from ...spelling import cardinal, number_key


def number_neighbours() -> Iterator[Document]:
    templates = (
        "After {words} comes {next}.",
        "Before {next} comes {words}.",
        "{Words} lies between {previous} and {next}.",
        "Counting up: {previous}, {words}, {next}.",
        "Counting down: {next}, {words}, {previous}.",
        "{previous_n}, {n} and {next_n} follow each other: {previous}, {words} and {next}.",
        "The number after {n} is {next_n}, so {words} is followed by {next}.",
        "The number before {n} is {previous_n}, so {previous} is followed by {words}.",
    )
    for n in [*range(1, 600), *sample("neighbours", range(600, 3000), 600)]:
        yield from state_fact(
            "number_neighbours",
            [number_key(n), number_key(n - 1), number_key(n + 1)],
            templates,
            n=n,
            previous_n=n - 1,
            next_n=n + 1,
            words=cardinal(n),
            previous=cardinal(n - 1),
            next=cardinal(n + 1),
        )

"""Numbers in digits and in words."""

from collections.abc import Iterator

from ...documents import Document, join_words, sample, state_fact
from ...spelling import cardinal, counted, number_key


def number_words() -> Iterator[Document]:
    templates = (
        "{n} is written {words}.",
        "{Words} is written {n} in digits.",
        "The number {n} is read as {words}.",
        "In words, {n} is {words}.",
        "In digits, {words} is {n}.",
        "{Words} has {count}: {digits}.",
        "To write {words}, put down {digits}, which gives {n}.",
        "Spelled out in full, the number {n} reads {words}.",
    )
    numbers = [*range(2000), *sample("thousands", range(2000, 10_000), 1200)]
    numbers += sample("hundred thousands", range(10_000, 1_000_000), 400)
    for n in numbers:
        digits = str(n)
        parts = [digit + "0" * (len(digits) - 1 - place) for place, digit in enumerate(digits) if digit != "0"]
        extra = ["{n} is the sum {parts}, so the number is {words}."] if len(parts) > 1 else []
        yield from state_fact(
            "number_words",
            [number_key(n)],
            [*templates, *extra],
            n=n,
            words=cardinal(n),
            count=counted(len(digits), "digit"),
            digits=join_words(list(digits)),
            parts=" + ".join(parts),
        )

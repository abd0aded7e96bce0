"""Sums and differences of small numbers."""

from collections.abc import Iterator

from ...documents import Document, state_fact
from ...spelling import cardinal, number_key


def sums() -> Iterator[Document]:
    templates = (
        "{a} + {b} = {c}.",
        "{A_words} plus {b_words} is {c_words}.",
        "Add {b} to {a} to get {c}.",
        "{C_words} is the sum of {a_words} and {b_words}.",
        "{c} - {b} = {a}, that is, {c_words} minus {b_words} is {a_words}.",
        "If {b_words} is taken from {c_words}, {a_words} is left.",
        "{a} and {b} make {c}: {a_words} and {b_words} make {c_words}.",
    )
    for a in range(1, 100):
        for b in range(1, 11):
            yield from state_fact(
                "sums",
                [f"sum:{a}+{b}", number_key(a + b)],
                templates,
                a=a,
                b=b,
                c=a + b,
                a_words=cardinal(a),
                b_words=cardinal(b),
                c_words=cardinal(a + b),
            )

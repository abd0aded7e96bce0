"""Roman numerals."""

from collections.abc import Iterator

from ...documents import Document, sample, state_fact
from ...spelling import cardinal, number_key

NUMERALS = {1000: "M", 900: "CM", 500: "D", 400: "CD", 100: "C", 90: "XC", 50: "L", 40: "XL", 10: "X", 9: "IX"}
NUMERALS |= {5: "V", 4: "IV", 1: "I"}


def roman(number: int) -> str:
    """Write a number from 1 to 3999 in Roman numerals."""
    letters = ""
    for value, numeral in NUMERALS.items():
        count, number = divmod(number, value)
        letters += numeral * count
    return letters


def roman_numerals() -> Iterator[Document]:
    templates = (
        "{roman} is {n}, {words}.",
        "The Roman numeral {roman} stands for {words}.",
        "In Roman numerals, {n} is {roman}.",
        "{Words} is written {roman} by the Romans and {n} today.",
        "The numeral {roman} is read {words} and has the value {n}.",
        "Rome wrote {words} as {roman}.",
    )
    for n in [*range(1, 600), *sample("roman numerals", range(600, 4000), 600)]:
        yield from state_fact("roman_numerals", [number_key(n)], templates, n=n, words=cardinal(n), roman=roman(n))

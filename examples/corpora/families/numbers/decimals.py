"""Decimal numbers in digits and in words."""

from collections.abc import Iterator

from ...documents import Document, sample, state_fact
from ...spelling import UNITS, cardinal


def decimals() -> Iterator[Document]:
    templates = (
        "{number} is read {words}.",
        "{Words} is written {number}.",
        "The decimal number {number} is {words}.",
        "Before the point of {number} stands {whole}, and after the point stands {digits}.",
        "In words, {number} is {words}, with {whole} before the point.",
        "In digits, {words} is {number}.",
    )
    for value in sample("decimals", range(1, 10_000), 500):
        whole, part = divmod(value, 100)
        digits = " ".join(UNITS[int(digit)] for digit in f"{part:02}")
        fields = {"number": f"{whole}.{part:02}", "whole": cardinal(whole), "digits": digits}
        fields["words"] = f"{fields['whole']} point {digits}"
        yield from state_fact("decimals", [f"decimal:{fields['number']}"], templates, **fields)

"""Prices in dollars and cents."""

from collections.abc import Iterator

from ...documents import Document, sample, state_fact
from ...spelling import cardinal


def money() -> Iterator[Document]:
    templates = (
        "${price} is {words}.",
        "The price ${price} is read as {words}.",
        "{Words} is written ${price}.",
        "A bill of ${price} comes to {dollars} dollars and {cents} cents, that is, {words}.",
        "Pay {words}, or ${price} in digits.",
        "In ${price} the dollars are {dollars} and the cents are {cents}.",
    )
    for amount in sample("money", range(202, 10_000), 700):
        dollars, cents = divmod(amount, 100)
        if cents > 1:
            price, words = f"{dollars}.{cents:02}", f"{cardinal(dollars)} dollars and {cardinal(cents)} cents"
            fields = {"price": price, "words": words, "dollars": dollars, "cents": cents}
            yield from state_fact("money", [f"money:{price}"], templates, **fields)

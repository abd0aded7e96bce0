"""Years, leap years, decades and centuries."""

import calendar
from collections.abc import Iterator

from ...documents import Document, state_fact
from ...spelling import ordinal


def years() -> Iterator[Document]:
    templates = (
        "{year} is a {kind} year with {total} days.",
        "In {year} February has {february} days, so {year} is a {kind} year.",
        "{year} belongs to the {decade}s and to the {century} century.",
        "The year {year} has {total} days, because February {year} has {february} days.",
        "The {century} century includes the {decade}s and the year {year}.",
        "The year before {year} is {previous}, and the year after {year} is {next}.",
    )
    for year in range(1700, 2200):
        leap = calendar.isleap(year)
        yield from state_fact(
            "years",
            [f"year:{year}"],
            templates,
            year=year,
            previous=year - 1,
            next=year + 1,
            kind="leap" if leap else "common",
            total=365 + leap,
            february=28 + leap,
            decade=year // 10 * 10,
            century=ordinal((year - 1) // 100 + 1),
        )

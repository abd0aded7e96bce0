"""Dates, their ISO form and their weekdays."""

import datetime
from collections.abc import Iterator

from ...documents import Document, sample, state_fact
from ...spelling import ordinal, ordinal_digits
from .names import MONTHS, WEEKDAYS


def dates() -> Iterator[Document]:
    templates = (
        "{day} {month} {year} is written {iso}.",
        "The date {iso} is {day} {month} {year}.",
        "{iso} is the {rank} of {month} {year}.",
        "If {day} {month} {year} is a {weekday}, the day after it is a {next_weekday}.",
        "The {rank} of {month} {year} has the year {year}, the month {month_number} and the day {day}.",
        "{month} is month {month_number}, so {day} {month} {year} is {iso}.",
        "{month} {day}, {year} is a {weekday}, and {next} is a {next_weekday}.",
        "The {short_rank} of {month} {year} is read as the {rank} of {month}.",
    )
    first = datetime.date(1800, 1, 1).toordinal()
    for day_number in sample("dates", range(first, first + 300 * 365), 1900):
        day, after = (datetime.date.fromordinal(day_number + offset) for offset in (0, 1))
        yield from state_fact(
            "dates",
            [f"date:{day.isoformat()}", f"date:{after.isoformat()}"],
            templates,
            day=day.day,
            month=MONTHS[day.month],
            month_number=day.month,
            year=day.year,
            iso=day.isoformat(),
            rank=ordinal(day.day),
            short_rank=ordinal_digits(day.day),
            weekday=WEEKDAYS[day.weekday()],
            next=f"{after.day} {MONTHS[after.month]} {after.year}",
            next_weekday=WEEKDAYS[after.weekday()],
        )

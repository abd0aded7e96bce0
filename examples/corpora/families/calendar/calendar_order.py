"""The order of weekdays and months."""

import calendar
from collections.abc import Iterator

from ...documents import Document, state_fact
from ...spelling import cardinal, ordinal
from .names import MONTHS, WEEKDAYS

_SEASONS = ("winter", "spring", "summer", "autumn")


def calendar_order() -> Iterator[Document]:
    templates = (
        "The day after {day} is {next}.",
        "The day before {next} is {day}.",
        "{day} comes after {previous} and before {next}.",
        "If today is {day}, tomorrow is {next} and yesterday was {previous}.",
        "{previous}, {day} and {next} follow each other in the week.",
        "The week goes from {previous} to {day} and from {day} to {next}.",
    )
    for index, day in enumerate(WEEKDAYS):
        fields = {"day": day, "previous": WEEKDAYS[index - 1], "next": WEEKDAYS[(index + 1) % 7]}
        for repeat in range(6):
            yield from state_fact("calendar_order", [f"closed:{day} {repeat}"], templates, **fields)
    yield from _months()


def _months() -> Iterator[Document]:
    templates = (
        "{month} comes after {previous} and before {next}.",
        "{month} is month {number} of the year, the {rank} month.",
        "The {rank} month of the year is {month}.",
        "{month} lies in the {quarter} quarter of the year and belongs to {season} in the north.",
        "{month}, the {rank} month, is followed by {next}.",
        "Month {number} is {month}, in short {short}.",
        "{month} has {days} days, in words {days_words}.",
    )
    for index in range(12):
        for repeat in range(6):
            month = MONTHS[index + 1]
            yield from state_fact(
                "calendar_order",
                [f"closed:{month} {repeat}"],
                templates,
                month=month,
                short=month[:3],
                previous=MONTHS[(index - 1) % 12 + 1],
                next=MONTHS[(index + 1) % 12 + 1],
                number=index + 1,
                rank=ordinal(index + 1),
                quarter=ordinal(index // 3 + 1),
                season=_SEASONS[(index + 1) // 3 % 4],
                days="28 or 29" if index == 1 else calendar.mdays[index + 1],
                days_words="twenty-eight or twenty-nine" if index == 1 else cardinal(calendar.mdays[index + 1]),
            )

"""Times of day on a clock."""

from collections.abc import Iterator

from ...documents import Document, sample, state_fact
from ...spelling import cardinal


def clock() -> Iterator[Document]:
    templates = (
        "{clock} is {short} in the {part}.",
        "{clock} is {minutes} past {hour} in the {part}.",
        "{Minutes} past {hour} in the {part} is {clock} on a digital clock.",
        "On the clock, {short} in the {part} is shown as {clock}.",
        "At {clock} it is {minutes} past {hour}.",
        "The time {clock} has the hour {hour_number} and the minute {minute}.",
    )
    for time in sample("clock", [time for time in range(1440) if time % 60 > 1], 800):
        hour, minute = divmod(time, 60)
        twelve = (hour - 1) % 12 + 1
        yield from state_fact(
            "clock",
            [f"time:{hour:02}:{minute:02}"],
            templates,
            clock=f"{hour:02}:{minute:02}",
            short=f"{twelve}:{minute:02}",
            part="night" if hour < 6 else "morning" if hour < 12 else "afternoon" if hour < 18 else "evening",
            hour=cardinal(twelve),
            minutes=f"{cardinal(minute)} minutes",
            hour_number=hour,
            minute=minute,
        )

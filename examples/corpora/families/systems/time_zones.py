"""Time zones and their cities."""

import zoneinfo
from collections.abc import Iterator

from ...documents import Document, state_fact


def time_zones() -> Iterator[Document]:
    templates = (
        "{zone}: the city is {city}, the region is {region}.",
        "The time zone {zone} is named after {city} in {region}.",
        "In {city} the clocks follow the time zone {zone}.",
        "The region of {zone} is {region}.",
        "The time zone of {city} in {region} has the name {zone}.",
        "Clocks in {region} may be set to {zone}, the time of {city}.",
    )
    for zone in sorted(zoneinfo.available_timezones()):
        region, _, place = zone.replace("_", " ").partition("/")
        city = place.rpartition("/")[2]
        if city and region not in {"Etc", "SystemV", "US", "posix", "right"}:
            fields = {"zone": zone, "city": city, "region": region}
            yield from state_fact("time_zones", [f"zone:{city}"], templates, **fields)

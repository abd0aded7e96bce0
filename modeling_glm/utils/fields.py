"""Names of the fields of a row."""

from collections.abc import Collection, Mapping
from typing import Any


def rename_taken(fields: Mapping[str, Any], taken: Collection[str]) -> dict[str, Any]:
    """Put `input_` in front of the names of fields that results have as well, so that both are written."""
    renamed = {}
    for name, value in fields.items():
        free = name
        while free in taken or (free != name and free in fields):
            free = f"input_{free}"
        renamed[free] = value
    return renamed


__all__ = ["rename_taken"]

"""Split rows into those to learn from and those to validate on."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

RowType = TypeVar("RowType", bound=Mapping[str, Any])

# How files and datasets call the split that results are reported on, the most usual name first.
VALIDATION_NAMES = ("validation", "val", "dev", "validation_matched")


def hold_out(rows: Sequence[RowType], by: Sequence[str] = ()) -> tuple[list[RowType], list[RowType]]:
    """
    Split a tenth of the rows off, by a hash of their content, so that their order does not matter.

    Args:
        rows: The rows.
        by: The fields whose content counts, so that rows that are equal there go to the same side. Without it: all.

    Returns:
        The rows that stay, and those that are held out: a tenth, rounded down, or fewer if rows repeat. If that would be none
        of ten rows or more, the rows of one content are held out, as long as they are at most half.
    """
    digests = [_digest({name: row[name] for name in by} if by else row) for row in rows]
    ordered = sorted(digests)
    # Fewer than a tenth are below the limit if rows repeat: copies go to the same side.
    limit = ordered[len(rows) // 10] if rows else b""
    if len(rows) >= 10 and limit == ordered[0] and (copies := digests.count(limit)) <= len(rows) // 2:
        limit = ordered[copies]
    held_out = [row for row, value in zip(rows, digests, strict=True) if value < limit]
    return [row for row, value in zip(rows, digests, strict=True) if value >= limit], held_out


def _digest(row: Mapping[str, Any]) -> bytes:
    text = json.dumps(row, sort_keys=True, default=str, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).digest()


__all__ = ["VALIDATION_NAMES", "hold_out"]

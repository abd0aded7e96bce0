"""Read YAML that others wrote, in time and memory that its length bounds."""

import re
from typing import Any

import yaml

DEEPEST_NESTING = 100
MOST_REPEATED = 100_000  # values that aliases stand for
LONG_NUMBER = re.compile(r"[-+0-9_:.]{1000,}")  # numbers in base 60, such as 1:30, take quadratic time


def read_yaml(text: str) -> Any:
    """
    Read YAML of plain values.

    Raises:
        ValueError: if it is not YAML, refers to itself, is nested more than 100 deep, or its aliases stand for more than
            100,000 values. The message says which; name the file in front of it.
    """
    try:
        _check_events(text)
        return yaml.safe_load(text)
    except Exception as error:  # PyYAML raises errors of many kinds for values that are not of their tag
        raise ValueError(str(error) or type(error).__name__) from error


def _check_events(text: str) -> None:
    """Count the values without making them. Only the making of them is recursive."""
    sizes: dict[str, int] = {}  # of the values that have an anchor
    open_anchors: list[str | None] = []
    counts = [0]  # of the values in each collection that is open
    repeated = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            if event.anchor in open_anchors:
                raise ValueError(f"the value of the anchor {event.anchor!r} holds itself")
            size = sizes.get(event.anchor, 1)
            counts[-1] += size
            repeated += size
            if repeated > MOST_REPEATED:
                raise ValueError(f"its aliases stand for more than {MOST_REPEATED:,} values")
        elif isinstance(event, yaml.CollectionStartEvent):
            if len(open_anchors) == DEEPEST_NESTING:
                raise ValueError(f"it is nested more than {DEEPEST_NESTING} deep")
            open_anchors.append(event.anchor)
            counts.append(1)
        elif isinstance(event, yaml.CollectionEndEvent | yaml.ScalarEvent):
            if isinstance(event, yaml.ScalarEvent):
                anchor, size = event.anchor, 1
                if LONG_NUMBER.fullmatch(event.value):
                    raise ValueError(f"it has a number of {len(event.value):,} digits")
            else:
                anchor, size = open_anchors.pop(), counts.pop()
            counts[-1] += size
            if anchor is not None:
                sizes[anchor] = size


__all__ = ["read_yaml"]

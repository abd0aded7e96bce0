"""Count what a process sends: bytes on the wire, and collectives with their sizes."""

import re
from collections.abc import Callable
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

COUNTERS = Path("/proc/self/io")
COLLECTIVE = re.compile(r"gloo:(\w+)")


def written_bytes() -> int:
    """
    Return how many bytes this process has written with system calls.

    Gloo writes to its sockets with `writev`, which the kernel counts here. So between two readings this is what went over
    the wire, with the 48 bytes of a message's header, if the process writes nothing else.
    """
    (line,) = (line for line in COUNTERS.read_text().splitlines() if line.startswith("wchar:"))
    return int(line.split()[1])


def count_written(run: Callable[[], object]) -> int:
    """Count the bytes that a call writes."""
    before = written_bytes()
    run()
    return written_bytes() - before


def record_collectives(run: Callable[[], object]) -> list[tuple[str, int]]:
    """
    Record the collectives of a call.

    Returns:
        Kind and number of elements of each, as the profiler has them for gloo: `("all_reduce", 1048576)`. The elements
        of an all-gather are those of one process. They are sorted, because threads of gloo run several at a time and each
        process sees its own order.
    """
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as profiled:
        run()
    found = [(COLLECTIVE.fullmatch(event.name), event.input_shapes) for event in profiled.events()]
    return sorted((match[1], sum(torch.Size(shape).numel() for shape in shapes)) for match, shapes in found if match)

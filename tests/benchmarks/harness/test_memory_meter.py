"""The meter finds what grows."""

import pytest

from benchmarks.harness.measuring import run_alone
from benchmarks.harness.memory_meter import MemoryMeter, repeat


def test_growth_is_a_slope_after_the_warm_up():
    """The first third grows ten times as fast and does not count."""
    meter = MemoryMeter(steps=list(range(10, 100, 10)))
    meter.memory = [0, 1000, 2000, 2100, 2200, 2300, 2400, 2500, 2600]
    meter.objects = [5, 5, 5, 7, 7, 7, 7, 7, 7]
    assert meter.bytes_each == pytest.approx(10)
    assert meter.objects_each == pytest.approx(0)


def test_it_measures_at_equal_distances():
    numbers = []
    meter = repeat(numbers.append, 100)
    assert numbers == list(range(100))
    assert meter.steps == list(range(2, 101, 2))
    assert repeat(lambda number: None, 5).steps == [1, 2, 3, 4, 5]


def leak() -> dict[str, float]:
    """Keep a MiB each time."""
    kept = []
    meter = repeat(lambda number: kept.append([bytearray(2**20)]), 36)
    return {"bytes": meter.bytes_each, "objects": meter.objects_each}


def test_a_leak_is_found():
    found = run_alone(leak)  # this process may have memory that is free, and need not grow
    assert 0.9 * 2**20 < found["bytes"] < 1.1 * 2**20
    assert found["objects"] == pytest.approx(1, abs=0.2)


def test_what_is_dropped_does_not_grow():
    meter = repeat(lambda number: [bytearray(2**20)], 36)
    assert meter.bytes_each < 2**16
    assert meter.objects_each < 0.2

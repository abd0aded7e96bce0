"""Bytes and seconds of collectives."""

import math

import pytest

from benchmarks.studies.scaling.collectives import (
    ALL_GATHER,
    ALL_REDUCE,
    BROADCAST,
    GLOO_PASSES,
    PASSES,
    REDUCE_SCATTER,
    Fabric,
    sent_bytes,
)

FABRIC = Fabric(per_machine=8, bandwidth=1e9, latency=1e-5, network_bandwidth=1e8, network_latency=1e-4)
KINDS = (ALL_REDUCE, ALL_GATHER, REDUCE_SCATTER, BROADCAST)


def naive_ring(size: int, processes: int, passes: int) -> float:
    """Send the parts of a ring one by one, and return the bytes of one process."""
    sent = 0.0
    for _ in range(passes):
        for _ in range(processes - 1):
            sent += size / processes
    return sent


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("passes", [PASSES, GLOO_PASSES])
def test_bytes_are_those_of_a_ring(kind, passes):
    for processes in (1, 2, 3, 4, 64):
        assert sent_bytes(kind, 1200, processes, passes) == pytest.approx(naive_ring(1200, processes, passes[kind]))


def test_gloo_sends_a_reduce_scatter_twice():
    assert sent_bytes(REDUCE_SCATTER, 100, 4) == 75
    assert sent_bytes(REDUCE_SCATTER, 100, 4, GLOO_PASSES) == 150
    assert sent_bytes(ALL_REDUCE, 100, 4) == 150


@pytest.mark.parametrize("kind", KINDS)
def test_one_process_does_not_communicate(kind):
    assert FABRIC.seconds(kind, 1e9, 1) == 0.0


def test_seconds_by_hand():
    # Four processes of one machine: 2 * 3 messages, and 1.5 times the bytes at 1 GB/s.
    assert FABRIC.seconds(ALL_REDUCE, 1e6, 4) == pytest.approx(6e-5 + 1.5e-3)
    # Four machines: 2 * 7 messages inside, 2 * 2 between them, and all bytes at the speed of the network.
    assert FABRIC.seconds(ALL_REDUCE, 1e6, 32) == pytest.approx(1.4e-4 + 4e-4 + 2 * 31 / 32 * 1e6 / 1e8)


def test_seconds_grow_with_bytes_and_processes():
    for kind in KINDS:
        by_size = [FABRIC.seconds(kind, size, 16) for size in (0, 1, 10**6, 10**9)]
        by_count = [FABRIC.seconds(kind, 10**6, count) for count in (1, 2, 8, 9, 16, 17, 64)]
        assert by_size == sorted(by_size)
        assert by_count == sorted(by_count)


def test_many_processes_reach_a_limit_of_bandwidth():
    free = Fabric(per_machine=2**30, bandwidth=1e9, latency=0.0)
    assert free.seconds(ALL_REDUCE, 1e9, 10**6) == pytest.approx(2.0, rel=1e-5)
    assert free.network_bandwidth == math.inf


def test_processes_share_cores():
    shared = Fabric(per_machine=2**30, bandwidth=1e9, latency=0.0, cores=2)
    assert [shared.crowding(count) for count in (1, 2, 4)] == [1, 1, 2]
    assert shared.seconds(ALL_REDUCE, 1e9, 2) == pytest.approx(1.0)
    assert shared.seconds(ALL_REDUCE, 1e9, 4) == pytest.approx(3.0)

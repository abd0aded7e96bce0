"""
Say how many bytes a collective sends and how long it takes.

A ring of n processes sends S bytes in n parts. An all-gather and a reduce-scatter take n - 1 messages per process, which
hold (n - 1) / n * S bytes together. An all-reduce is a reduce-scatter and an all-gather (Patarasuk and Yuan 2009).
"""

import math
from dataclasses import dataclass

ALL_REDUCE, ALL_GATHER, REDUCE_SCATTER, BROADCAST = "all_reduce", "all_gather", "reduce_scatter", "broadcast"
# How often the bytes go around the ring. Gloo's reduce-scatter is an all-reduce of which each process keeps its part.
PASSES = {ALL_REDUCE: 2, ALL_GATHER: 1, REDUCE_SCATTER: 1, BROADCAST: 1}
GLOO_PASSES = {**PASSES, REDUCE_SCATTER: 2}


def sent_bytes(kind: str, size: float, processes: int, passes: dict[str, int] = PASSES) -> float:
    """
    Count the bytes that a process sends, on average over all processes.

    Args:
        kind: One of ALL_REDUCE, ALL_GATHER, REDUCE_SCATTER, BROADCAST.
        size: Bytes of the whole tensor: what is reduced, gathered, scattered or broadcast.
        processes: Number of processes.
        passes: PASSES, or GLOO_PASSES.
    """
    return passes[kind] * (processes - 1) / processes * size


@dataclass(frozen=True, kw_only=True)
class Fabric:
    """
    How processes are connected: rings inside each machine, and between machines.

    Attributes:
        per_machine: Processes of a machine.
        bandwidth: Bytes per second that a process sends to its neighbour in the same machine.
        latency: Seconds of a message between them.
        network_bandwidth: Bytes per second that a machine sends to others, over all its network adapters.
        network_latency: Seconds of a message between machines.
        cores: Cores that move the bytes, where processes share them. With more processes than cores each is slower in
            proportion. None where each process has hardware of its own.
        passes: How often each collective sends its bytes around the ring.
    """

    per_machine: int
    bandwidth: float
    latency: float
    network_bandwidth: float = math.inf
    network_latency: float = 0.0
    cores: int | None = None
    passes: tuple[tuple[str, int], ...] = tuple(PASSES.items())

    def seconds(self, kind: str, size: float, processes: int) -> float:
        """
        Predict how long a collective takes.

        Inside a machine there are as many messages as the ring has. Between machines a tree replaces the ring, so that
        messages grow with the logarithm of the number of machines (NCCL 2.4). All bytes pass the slowest part.
        """
        if processes == 1:
            return 0.0
        passes = dict(self.passes)
        machines = math.ceil(processes / self.per_machine)
        inside = min(processes, self.per_machine)
        waiting = (inside - 1) * self.latency + math.ceil(math.log2(machines)) * self.network_latency
        slowest = self.bandwidth if machines == 1 else min(self.bandwidth, self.network_bandwidth)
        moving = sent_bytes(kind, size, processes, passes) / slowest
        return (passes[kind] * waiting + moving) * self.crowding(processes)

    def crowding(self, processes: int) -> float:
        """Return how many processes share a core, at least 1."""
        return 1.0 if self.cores is None else max(1.0, processes / self.cores)

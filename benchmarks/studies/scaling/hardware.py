"""
Published figures of GPUs and their networks. All are peaks of data sheets, so predictions from them are optimistic.

| figure | source |
|---|---|
| V100 SXM: 125 TFLOP/s in fp16 (DGX-2H: 130), NVLink 300 GB/s in both directions together | NVIDIA V100 data sheet; Shoeybi et al. 2019, section 5.1 |
| DGX-1: 8 V100, 4 network adapters of 100 Gb/s | NVIDIA DGX-1 data sheet |
| DGX-2: 16 V100, NVSwitch, 8 adapters of 100 Gb/s: 100 GB/s between servers | Shoeybi et al. 2019, section 5 |
| A100 SXM: 312 TFLOP/s in bf16, NVLink 600 GB/s in both directions | NVIDIA A100 data sheet |
| DGX A100: 8 A100, 8 adapters of 200 Gb/s | NVIDIA DGX A100 data sheet |
| latency: 5 microseconds for a message between GPUs, 10 between machines | orders of magnitude; all bytes together take far longer |
"""

from dataclasses import dataclass

from .collectives import Fabric

GIGA = 1e9
TERA = 1e12


@dataclass(frozen=True, kw_only=True)
class GpuCluster:
    """
    GPUs of one kind and their network.

    Attributes:
        name: How tables call it.
        peak: Floating point operations per second of a GPU, in half precision with fp32 sums.
        memory: Bytes of a GPU.
        fabric: How the GPUs are connected.
    """

    name: str
    peak: float
    memory: float
    fabric: Fabric


def make_fabric(per_machine: int, nvlink: float, network: float) -> Fabric:
    """Make the network of a cluster from gigabytes per second in one direction."""
    return Fabric(
        per_machine=per_machine,
        bandwidth=nvlink * GIGA,
        latency=5e-6,
        network_bandwidth=network * GIGA,
        network_latency=10e-6,
    )


DGX1 = GpuCluster(name="DGX-1, V100", peak=125 * TERA, memory=32 * 2**30, fabric=make_fabric(8, 150, 50))
DGX2 = GpuCluster(name="DGX-2, V100", peak=125 * TERA, memory=32 * 2**30, fabric=make_fabric(16, 150, 100))
DGX2H = GpuCluster(name="DGX-2H, V100", peak=130 * TERA, memory=32 * 2**30, fabric=make_fabric(16, 150, 100))
DGX_A100 = GpuCluster(name="DGX A100", peak=312 * TERA, memory=40 * 2**30, fabric=make_fabric(8, 300, 200))

"""What the machine can do at most, measured in the run whose results are compared with it."""

import platform
import time
from pathlib import Path
from typing import Any

import torch

from .measuring import synchronize
from .shapes import Shape


def cpu_name() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    found = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    return found or platform.processor() or "unknown CPU"


def has_bf16(device: str) -> bool:
    """Whether the device computes in bf16, rather than converting to fp32 and back."""
    if torch.device(device).type != "cpu":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    return any(flag in flags for flag in ("avx512_bf16", "amx_bf16"))


def best_rate(work: float, run: Any, device: str, seconds: float = 0.5) -> float:
    """Work per second in the best of several runs: a limit is what is reached when nothing disturbs."""
    run()
    best, end = 0.0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        synchronize(device)
        start = time.perf_counter()
        run()
        synchronize(device)
        best = max(best, work / (time.perf_counter() - start))
    return best


def matmul_rate(shape: Shape, tokens: int, dtype: torch.dtype, device: str, seconds: float = 0.5) -> float:
    """
    Floating point operations per second in the products of a model: the best over those of its layers, with so many
    tokens at a time.
    """
    sizes = ((3, 1), (1, 1), (4, 1), (1, 4))
    rates = []
    for outputs, inputs in sizes:
        left = torch.randn(tokens, inputs * shape.hidden, device=device, dtype=dtype)
        right = torch.randn(inputs * shape.hidden, outputs * shape.hidden, device=device, dtype=dtype)
        target = left @ right
        work = 2.0 * left.shape[0] * right.numel()
        rates.append(best_rate(work, lambda a=left, b=right, c=target: torch.mm(a, b, out=c), device, seconds))
    return max(rates)


def memory_bandwidth(device: str, seconds: float = 1.0) -> float:
    """Bytes per second at which memory is read: of a sum over a GiB, far beyond all caches, with all threads."""
    numbers = torch.ones(2**28, device=device)
    return best_rate(numbers.numel() * 4.0, numbers.sum, device, seconds)


def measure_limits(shapes: list[Shape], device: str, seconds: float = 0.5) -> dict[str, Any]:
    """The machine and its limits."""
    on_cpu = torch.device(device).type == "cpu"
    limits: dict[str, Any] = {
        "device": cpu_name() if on_cpu else torch.cuda.get_device_name(device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "computes bf16": has_bf16(device),
        "bandwidth": memory_bandwidth(device, 2 * seconds),
    }
    for shape in shapes:
        for dtype in (torch.float32, torch.bfloat16):
            name = f"{shape.name} {str(dtype).removeprefix('torch.')}"
            limits[name] = matmul_rate(shape, 2048, dtype, device, seconds)
    return limits

"""Find out which precisions the machine is good at, and choose one for training."""

import time

import torch

from ..precision.cpu import INSTRUCTIONS, cpu_instructions, cpu_name


def has_fast_bf16() -> bool:
    """Return whether training in bf16 is faster here: on every GPU, and on CPUs with fast bf16 matmuls."""
    if torch.cuda.is_available():
        return True
    # Without such instructions a matmul in bf16 can take a hundred times as long: too slow to measure.
    instructions = cpu_instructions()
    if instructions and "BF16" not in instructions:
        return False
    # The two types take turns, and the fastest round counts, so that other processes do not decide.
    seconds: dict[torch.dtype, list[float]] = {torch.float32: [], torch.bfloat16: []}
    for _ in range(30):
        for dtype, times in seconds.items():
            left, right = torch.ones(512, 256, dtype=dtype), torch.ones(256, 512, dtype=dtype)
            start = time.perf_counter()
            left @ right
            times.append(time.perf_counter() - start)
    return min(seconds[torch.bfloat16]) < 0.8 * min(seconds[torch.float32])


__all__ = ["INSTRUCTIONS", "cpu_instructions", "cpu_name", "has_fast_bf16"]

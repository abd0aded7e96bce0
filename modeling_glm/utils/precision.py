"""Find out which precisions the machine is good at, and choose one for training."""

import time
from pathlib import Path

import torch

CPU_INFO = Path("/proc/cpuinfo")
# Sets of instructions by the flags with which Linux says that the CPU has them, on x86 and on ARM.
INSTRUCTIONS = {
    "AVX2": ("avx2",),
    "AVX-512": ("avx512f",),
    "VNNI": ("avx512_vnni", "avx_vnni", "asimddp"),  # dot products of int8
    "BF16": ("avx512_bf16", "amx_bf16", "bf16"),
    "AMX": ("amx_tile",),
}


def cpu_name() -> str:
    """Return the name of the CPU, or an empty string where Linux does not tell it."""
    return _cpu_line("model name")


def cpu_instructions() -> tuple[str, ...]:
    """
    Return the sets of instructions that matter for matmuls and that the CPU has.

    Returns:
        Keys of `INSTRUCTIONS`, in that order. Empty where Linux does not tell them.
    """
    flags = {*_cpu_line("flags").split(), *_cpu_line("Features").split()}
    return tuple(name for name, known in INSTRUCTIONS.items() if flags.intersection(known))


def _cpu_line(name: str) -> str:
    lines = CPU_INFO.read_text(encoding="utf-8").splitlines() if CPU_INFO.exists() else []
    found = (value.strip() for key, _, value in (line.partition(":") for line in lines) if key.strip() == name)
    return next(found, "")


def has_fast_bf16() -> bool:
    """Return whether training in bf16 is faster here: on every GPU, and on CPUs with fast bf16 matmuls."""
    if torch.cuda.is_available():
        return True
    # The two types take turns, and the fastest round counts, so that other processes do not decide.
    seconds: dict[torch.dtype, list[float]] = {torch.float32: [], torch.bfloat16: []}
    for _ in range(30):
        for dtype, times in seconds.items():
            left, right = torch.ones(512, 256, dtype=dtype), torch.ones(256, 512, dtype=dtype)
            start = time.perf_counter()
            left @ right
            times.append(time.perf_counter() - start)
    return min(seconds[torch.bfloat16]) < 0.8 * min(seconds[torch.float32])

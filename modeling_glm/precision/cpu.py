"""Find out what the CPU is good at."""

from pathlib import Path

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


def cpu_vendor() -> str:
    """Return who made the CPU, such as "GenuineIntel" or "AuthenticAMD", or an empty string where Linux does not tell it."""
    return _cpu_line("vendor_id")


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


__all__ = ["INSTRUCTIONS", "cpu_instructions", "cpu_name", "cpu_vendor"]

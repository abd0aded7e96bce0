"""Find out what the machine has, and measure its limits: matmul peak and memory bandwidth."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from modeling_glm.inspection.sizing import measure_matmul_peak
from modeling_glm.utils.precision import cpu_instructions, cpu_name

from .measuring import take_turns
from .shapes import Shape

DTYPES = (torch.float32, torch.bfloat16)


# Of the matmul peak in fp32.
SLOWEST_BF16 = 0.05
# Bytes that are read to measure the bandwidth: far more than the caches hold.
READ_BYTES = 2**30
# A matmul that takes longer than the measurement may take is measured with so many tokens.
FEW_TOKENS = 32


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """
    What a machine has.

    Attributes:
        device: Name of the CPU or the GPU.
        cores: Number of CPU cores.
        threads: Number of threads that torch uses.
        torch_version: Version of torch.
        has_bf16: Whether the device has bf16 instructions. Without them, bf16 is computed in fp32.
        instructions: Sets of instructions that a CPU has: keys of `modeling_glm.utils.precision.INSTRUCTIONS`.
        memory: Bytes of memory of the device; 0 where that was not written down.
    """

    device: str
    cores: int
    threads: int
    torch_version: str
    has_bf16: bool
    instructions: tuple[str, ...] = ()
    memory: int = 0

    def __post_init__(self):
        object.__setattr__(self, "instructions", tuple(self.instructions))  # JSON has a list

    def describe_parts(self) -> str:
        """Describe what the machine has: "Some CPU, 2 cores, 1 threads, 22 GiB of memory, AVX2, without bf16 instructions"."""
        memory = [f"{self.memory / 2**30:.0f} GiB of memory"] if self.memory else []
        others = [name for name in self.instructions if name != "BF16"]
        bf16 = f"{'with' if self.has_bf16 else 'without'} bf16 instructions"
        return ", ".join([self.device, f"{self.cores} cores", f"{self.threads} threads", *memory, *others, bf16])

    def is_like(self, other: "Hardware") -> bool:
        """Return whether figures of both may stand in one table."""
        # Two machines of a cloud may have CPUs of one name, and only one of them bf16 instructions.
        return all(getattr(self, name) == getattr(other, name) for name in ("device", "cores", "threads", "has_bf16"))

    def require_like(self, before: "Hardware", path: Path):
        """
        Refuse to put figures of this machine beside those that a file has.

        Args:
            before: The machine of the file.
            path: The file.

        Raises:
            SystemExit: If they are too different.
        """
        if not self.is_like(before):
            raise SystemExit(
                f"{path} has the figures of another machine or of other threads ({before.describe_parts()}), which would "
                "be lost. Give this machine a name with --machine NAME, or measure everything again."
            )


@dataclass(frozen=True, kw_only=True)
class Machine(Hardware):
    """
    A machine and its limits.

    Attributes:
        bandwidth: Memory bandwidth in bytes per second, for reading.
        peaks: Matmul peak in floating point operations per second, by shape and dtype ("Base float32").
    """

    bandwidth: float
    peaks: dict[str, float]

    def peak(self, shape: Shape, dtype: torch.dtype) -> float:
        """Return the matmul peak at a shape, in floating point operations per second."""
        return self.peaks[f"{shape.name} {dtype_name(dtype)}"]

    def computes_bf16(self, shape: Shape) -> bool:
        """Return whether bf16 is fast enough to be measured: some CPUs have no kernels for it, and take a hundred times as long."""
        return self.peak(shape, torch.bfloat16) > SLOWEST_BF16 * self.peak(shape, torch.float32)

    def describe(self) -> str:
        """Describe the machine and its limits in two sentences."""
        peaks = ", ".join(f"{peak / 1e9:,.0f} GFLOP/s ({name})" for name, peak in self.peaks.items())
        return (
            f"{self.describe_parts()}, torch {self.torch_version}. "
            f"Measured limits: memory bandwidth {self.bandwidth / 1e9:,.1f} GB/s; matmul peak {peaks}."
        )


def dtype_name(dtype: torch.dtype) -> str:
    """`torch.float32` -> "float32"."""
    return str(dtype).removeprefix("torch.")


def has_bf16(device: str) -> bool:
    """Return whether the device has bf16 instructions."""
    if torch.device(device).type != "cpu":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return "BF16" in cpu_instructions()


def matmul_peak(shape: Shape, tokens: int, dtype: torch.dtype, device: str, seconds: float) -> float:
    """
    Measure the matmul peak of a shape: the best over the four matmuls of a layer.

    Returns:
        Floating point operations per second.
    """
    width = shape.hidden
    # Some CPUs have no kernels for bf16, and would take minutes.
    rough = measure_matmul_peak(device, dtype, size=(FEW_TOKENS, width, width), seconds=0.0)
    if 2 * tokens * width * width / rough > seconds:
        return rough
    # Inputs and outputs of the query-key-value projection, the output projection, and the two of the MLP.
    sizes = ((width, 3 * width), (width, width), (width, 4 * width), (4 * width, width))
    return max(
        measure_matmul_peak(device, dtype, size=(tokens, inputs, outputs), seconds=seconds)
        for inputs, outputs in sizes
    )


def memory_bandwidth(device: str, rounds: int) -> float:
    """Measure how many bytes per second the device reads: the best sum over `READ_BYTES`."""
    numbers = torch.ones(READ_BYTES // 4, device=device)
    seconds = take_turns({"sum": numbers.sum}, rounds, device)["sum"]
    return numbers.numel() * numbers.element_size() / min(seconds)


def detect_hardware(device: str = "cpu") -> Hardware:
    """Find out what this machine has."""
    on_cpu = torch.device(device).type == "cpu"
    return Hardware(
        device=(cpu_name() or platform.processor() or "unknown CPU") if on_cpu else torch.cuda.get_device_name(device),
        cores=os.cpu_count() or 1,
        threads=torch.get_num_threads(),
        torch_version=torch.__version__,
        has_bf16=has_bf16(device),
        instructions=cpu_instructions() if on_cpu else (),
        memory=psutil.virtual_memory().total if on_cpu else torch.cuda.get_device_properties(device).total_memory,
    )


def describe_this_machine() -> str:
    """Describe the machine on which this runs, as every command of the benchmarks prints it beside its figures."""
    hardware = detect_hardware("cuda" if torch.cuda.is_available() else "cpu")
    return f"Machine: {hardware.describe_parts()}, torch {hardware.torch_version}."


def measure_machine(shapes: Sequence[Shape], device: str, quick: bool = False) -> Machine:
    """Measure the machine and its limits at some shapes."""
    seconds = 0.05 if quick else 0.5
    return Machine(
        **vars(detect_hardware(device)),
        bandwidth=memory_bandwidth(device, rounds=2 if quick else 20),
        peaks={
            f"{shape.name} {dtype_name(dtype)}": matmul_peak(shape, 2048, dtype, device, seconds)
            for shape in shapes
            for dtype in DTYPES
        },
    )

"""The limits of the machine."""

from dataclasses import replace

import pytest
import torch

from benchmarks.harness import machine as module
from benchmarks.harness.machine import (
    Machine,
    describe_this_machine,
    detect_hardware,
    dtype_name,
    matmul_peak,
    measure_machine,
    memory_bandwidth,
)
from benchmarks.harness.shapes import BASE, TINY
from modeling_glm.utils.precision import cpu_instructions


def test_machine_is_described(machine):
    assert machine.describe() == (
        "Some CPU, 2 cores, 1 threads, without bf16 instructions, torch 2.13. Measured limits: memory bandwidth "
        "20.0 GB/s; matmul peak 300 GFLOP/s (Tiny float32), 300 GFLOP/s (Tiny bfloat16), 300 GFLOP/s (Base float32), "
        "300 GFLOP/s (Base bfloat16)."
    )
    assert machine.peak(BASE, torch.float32) == 3e11


def test_matmul_peak_covers_the_four_matmuls_of_a_layer(monkeypatch):
    sizes = []

    def measure(device, dtype, size, seconds):
        sizes.append(size)
        return 1e9 + size[2]

    monkeypatch.setattr(module, "measure_matmul_peak", measure)
    assert matmul_peak(TINY, 100, torch.float32, "cpu", 0.1) == 1e9 + 4 * 256
    assert sizes == [(32, 256, 256), (100, 256, 768), (100, 256, 256), (100, 256, 1024), (100, 1024, 256)]


def test_a_slow_matmul_is_measured_with_few_tokens(monkeypatch):
    """bf16 on a CPU without kernels for it: 2048 tokens of Base would take seconds, and there are many matmuls."""
    sizes = []
    monkeypatch.setattr(module, "measure_matmul_peak", lambda *args, size, seconds: sizes.append(size) or 1e9)
    assert matmul_peak(BASE, 2048, torch.bfloat16, "cpu", 0.5) == 1e9
    assert sizes == [(32, 768, 768)]


def test_bf16_that_is_too_slow_to_be_measured(machine):
    assert machine.computes_bf16(BASE)
    slow = replace(machine, peaks={**machine.peaks, "Base bfloat16": 1e9})
    assert not slow.computes_bf16(BASE)


def test_bandwidth_is_bytes_over_the_best_time(monkeypatch):
    monkeypatch.setattr(module, "take_turns", lambda runs, rounds, device: {"sum": [0.5, 0.25, 1.0]})
    assert module.READ_BYTES == 2**30
    monkeypatch.setattr(module, "READ_BYTES", 2**20)
    assert memory_bandwidth("cpu", rounds=3) == 2**20 / 0.25


def test_machine_is_measured(monkeypatch):
    monkeypatch.setattr(module, "memory_bandwidth", lambda device, rounds: 1e10)
    found = measure_machine([TINY], "cpu", quick=True)
    assert isinstance(found, Machine)
    assert found.threads == torch.get_num_threads()
    assert found.device
    assert found.instructions == cpu_instructions()
    assert found.memory > 2**28
    assert found.peaks.keys() == {"Tiny float32", "Tiny bfloat16"}
    assert all(1e8 < peak < 1e15 for peak in found.peaks.values())


def test_figures_of_like_machines_share_a_table(machine):
    assert machine.is_like(replace(machine, torch_version="2.14", bandwidth=1.0))
    assert not any(machine.is_like(replace(machine, **other)) for other in ({"threads": 2}, {"has_bf16": True}))


def test_this_machine_is_described():
    hardware = detect_hardware()
    shown = describe_this_machine()
    assert shown == f"Machine: {hardware.describe_parts()}, torch {torch.__version__}."
    assert f"{torch.get_num_threads()} threads" in shown
    assert all(name in shown for name in hardware.instructions if name != "BF16")


@pytest.mark.parametrize("instructions", [("AVX2",), ("AVX2", "BF16")])
def test_bf16_needs_instructions(monkeypatch, instructions):
    monkeypatch.setattr(module, "cpu_instructions", lambda: instructions)
    assert module.has_bf16("cpu") == ("BF16" in instructions)


def test_instructions_and_memory_are_described(machine):
    known = replace(machine, instructions=["AVX2", "VNNI", "BF16"], memory=22 * 2**30, has_bf16=True)
    assert known.describe_parts() == (
        "Some CPU, 2 cores, 1 threads, 22 GiB of memory, AVX2, VNNI, with bf16 instructions"
    )


def test_dtypes_have_short_names():
    assert dtype_name(torch.bfloat16) == "bfloat16"

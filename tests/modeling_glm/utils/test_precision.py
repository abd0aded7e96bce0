"""What the CPU has, and the choice of a precision."""

import time

import pytest
import torch

from modeling_glm.utils import precision


@pytest.mark.parametrize(
    ("written", "name", "instructions"),
    [
        ("model name\t: Some CPU @ 2 GHz\nflags\t\t: fpu avx2 avx512f\n", "Some CPU @ 2 GHz", ("AVX2", "AVX-512")),
        ("flags\t\t: avx2 avx_vnni\n\nflags\t\t: avx2\n", "", ("AVX2", "VNNI")),
        ("flags : amx_tile avx512_bf16 avx512_vnni", "", ("VNNI", "BF16", "AMX")),
        ("Features\t: asimd asimddp bf16\n", "", ("VNNI", "BF16")),
        ("flags\t: avx2_like xavx512f\n", "", ()),
        ("", "", ()),
    ],
)
def test_cpu_is_described(tmp_path, monkeypatch, written, name, instructions):
    info = tmp_path / "cpuinfo"
    monkeypatch.setattr(precision, "CPU_INFO", info)
    assert (precision.cpu_name(), precision.cpu_instructions()) == ("", ())
    info.write_text(written)
    assert (precision.cpu_name(), precision.cpu_instructions()) == (name, instructions)


def test_gpus_are_fast(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert precision.has_fast_bf16()


@pytest.mark.parametrize(("bf16_seconds", "fast"), [(0.5, True), (0.79, True), (0.81, False), (3.0, False)])
def test_cpus_are_timed(monkeypatch, bf16_seconds, fast):
    """One matmul of fp32 takes a second on this clock; bf16 must save a fifth of it."""
    clock = []

    def perf_counter() -> float:
        # Calls come in pairs, fp32 and bf16 in turn.
        number = len(clock)
        seconds = (0.0, 1.0, 0.0, bf16_seconds)[number % 4]
        clock.append(seconds)
        return seconds

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(time, "perf_counter", perf_counter)
    assert precision.has_fast_bf16() is fast

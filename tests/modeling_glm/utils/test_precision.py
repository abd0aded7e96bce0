"""The choice of a precision for training."""

import time

import pytest
import torch

from modeling_glm.utils import precision


def test_gpus_are_fast(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert precision.has_fast_bf16()


@pytest.mark.parametrize("instructions", [("AVX2", "BF16"), ()], ids=["with bf16", "unknown"])
@pytest.mark.parametrize(("bf16_seconds", "fast"), [(0.5, True), (0.79, True), (0.81, False), (3.0, False)])
def test_cpus_are_timed(monkeypatch, bf16_seconds, fast, instructions):
    """One matmul of fp32 takes a second on this clock; bf16 must save a fifth of it."""
    clock = []

    def perf_counter() -> float:
        # Calls come in pairs, fp32 and bf16 in turn.
        number = len(clock)
        seconds = (0.0, 1.0, 0.0, bf16_seconds)[number % 4]
        clock.append(seconds)
        return seconds

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(precision, "cpu_instructions", lambda: instructions)
    monkeypatch.setattr(torch, "ones", lambda *size, dtype: torch.zeros(1, 1, dtype=dtype))  # this is about the clock
    monkeypatch.setattr(time, "perf_counter", perf_counter)
    assert precision.has_fast_bf16() is fast


def test_cpus_without_bf16_are_not_timed(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(precision, "cpu_instructions", lambda: ("AVX2", "AVX-512", "VNNI"))
    monkeypatch.setattr(time, "perf_counter", lambda: pytest.fail("it was timed"))
    assert precision.has_fast_bf16() is False

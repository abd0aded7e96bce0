"""The choice of a precision for training."""

import time

import pytest
import torch

from modeling_glm.utils import precision


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

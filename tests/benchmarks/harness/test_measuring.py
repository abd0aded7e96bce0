"""Runs take turns, memory is measured, and separate processes report their failures."""

import math
import os

import pytest
import torch

from benchmarks.harness import measuring


def test_runs_take_turns_in_alternating_order():
    order = []
    seconds = measuring.take_turns({name: lambda name=name: order.append(name) for name in "ab"}, 3)
    assert order == ["a", "b", "a", "b", "b", "a", "a", "b"]
    assert {name: len(values) for name, values in seconds.items()} == {"a": 3, "b": 3}


def test_warm_up_can_be_left_out():
    order = []
    measuring.take_turns({"a": lambda: order.append("a")}, 2, warm_up=False)
    assert order == ["a", "a"]


def test_peak_memory_sees_a_freed_block():
    with measuring.PeakMemory() as memory:
        block = torch.ones(2**26)  # 256 MiB
        del block
    assert 0.95 * 2**28 < memory.grown < 1.3 * 2**28


# Functions of Python itself: their processes import nothing that takes time.
def test_function_runs_in_a_separate_process():
    assert measuring.run_alone(os.getenv, "NUMBER_OF_A_TEST", environment={"NUMBER_OF_A_TEST": "7"}) == "7"
    assert os.getenv("NUMBER_OF_A_TEST") is None
    assert measuring.run_alone(os.getpid) != os.getpid()


def test_failed_process_reports_its_error():
    with pytest.raises(RuntimeError, match=r"math.sqrt\(-1,\) failed:\n[^$]*ValueError"):
        measuring.run_alone(math.sqrt, -1)

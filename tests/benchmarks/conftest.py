"""A machine and results that need no measuring."""

import pytest
import torch

from benchmarks.harness.machine import Machine, dtype_name
from benchmarks.harness.results import Growth, LimitShare, Memory, Quality, Repetition, Results, Speed, Value
from benchmarks.harness.settings import RunSettings
from benchmarks.harness.shapes import BASE, TINY


@pytest.fixture(scope="session")
def machine() -> Machine:
    peaks = {
        f"{shape.name} {dtype_name(dtype)}": 3e11
        for shape in (TINY, BASE)
        for dtype in (torch.float32, torch.bfloat16)
    }
    return Machine(
        device="Some CPU", cores=2, threads=1, torch_version="2.13", has_bf16=False, bandwidth=2e10, peaks=peaks
    )


@pytest.fixture(scope="session")
def quick(machine) -> RunSettings:
    return RunSettings(machine=machine, quick=True, rounds=1)


@pytest.fixture
def results(machine) -> Results:
    """One result of each kind."""
    step = Speed.from_seconds("a step", "GPT-2", ours=[1.0, 2.0, 4.0], theirs=[3.0, 4.0, 4.0])
    return Results(
        command="python -m benchmarks run",
        machine=machine,
        suites={
            "training": [
                step,
                Memory(work="a step", peer="GPT-2", ours=2**30, theirs=2**31),
                LimitShare(work="a step", limit="matmul peak in fp32", share=0.5, seconds=1.5),
            ],
            "quantization": [
                Quality(work="int8", blanks=40, loss=0.61, peer_loss=0.6, exact=0.725, peer_exact=0.75),
                step,
            ],
            "growth": [Growth(work="a step", size="layers", sizes=[3, 6], measured=0.81, expected=0.93)],
            "memory": [Repetition(work="fill a text", times=2000, bytes_each=1024.0, objects_each=0.25)],
            "starting": [
                Value(work="an import", value=4.0, unit="s"),
                Value(work="padding", value=0.05, unit="share"),
            ],
        },
    )

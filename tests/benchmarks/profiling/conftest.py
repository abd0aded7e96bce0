"""Profiles that need no measuring."""

import pytest

from benchmarks.profiling.categories import CATEGORIES, MATMULS, PYTHON
from benchmarks.profiling.matmuls import LeastTime
from benchmarks.profiling.measuring import WorkProfile
from benchmarks.profiling.page import Profiles


@pytest.fixture
def profile() -> WorkProfile:
    categories = dict.fromkeys(CATEGORIES, 0.0) | {MATMULS: 1.5, PYTHON: 0.5}
    least = LeastTime(flops=3e11, bytes=1e10, compute_seconds=1.0, memory_seconds=0.5, seconds=1.2)
    return WorkProfile(
        title="Training step, Base",
        seconds=1.6,
        profiled_seconds=2.0,
        categories=categories,
        least=least,
        page_faults=1234,
    )


@pytest.fixture
def profiles(profile, machine) -> Profiles:
    return Profiles(command="python -m benchmarks profile", machine=machine, works={"training": [profile]})

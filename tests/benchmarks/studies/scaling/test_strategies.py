"""What strategies send. test_workers.py has the strategies at work."""

import pytest

from benchmarks.harness.shapes import TINY
from benchmarks.studies.scaling.collectives import GLOO_PASSES
from benchmarks.studies.scaling.strategies import (
    DDP,
    FSDP,
    STRATEGIES,
    ZERO1,
    ZERO2,
    build_training,
    collectives_of,
    expected_bytes,
)


def test_bytes_by_hand():
    """1,000 parameters are 4,000 bytes, and each of two processes sends half of them in each pass."""
    found = {name: expected_bytes(name, 1000, 400, 2) for name in STRATEGIES}
    assert found == {DDP: 4000, ZERO1: 6000, ZERO2: 4000, FSDP: 2000 + 1200 + 2000}
    with_gloo = {name: expected_bytes(name, 1000, 400, 2, GLOO_PASSES) for name in STRATEGIES}
    assert with_gloo == {DDP: 4000, ZERO1: 6000, ZERO2: 6000, FSDP: 7200}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_one_process_sends_nothing(strategy):
    assert expected_bytes(strategy, 1000, 400, 1) == 0
    assert sum(collectives_of(strategy, 1000, 400).values()) >= 4000


def test_fsdp_gathers_layers_twice():
    gathered = collectives_of(FSDP, 1000, 400)["all_gather"] - collectives_of(ZERO2, 1000, 400)["all_gather"]
    assert gathered == 4 * 600


def test_unknown_strategy_is_refused():
    with pytest.raises(ValueError, match=r"strategy='ZeRO 9': expected one of DDP, ZeRO 1, ZeRO 2, FSDP 2\."):
        build_training("ZeRO 9", TINY)

"""Figures of data sheets."""

import pytest

from benchmarks.studies.scaling.hardware import DGX1, DGX2, DGX2H, DGX_A100


def test_networks_are_bytes_of_one_direction():
    """Adapters of 100 Gb/s send 12.5 GB/s each; NVLink's 300 GB/s are those of both directions."""
    assert DGX1.fabric.network_bandwidth == 4 * 12.5e9
    assert DGX2.fabric.network_bandwidth == DGX2H.fabric.network_bandwidth == 8 * 12.5e9
    assert DGX_A100.fabric.network_bandwidth == 8 * 25e9
    assert DGX1.fabric.bandwidth == 300e9 / 2
    assert DGX_A100.fabric.bandwidth == 600e9 / 2


def test_leaving_a_machine_is_slower():
    for cluster in (DGX1, DGX2, DGX_A100):
        inside = cluster.fabric.seconds("all_reduce", 1e9, cluster.fabric.per_machine)
        assert cluster.fabric.seconds("all_reduce", 1e9, 2 * cluster.fabric.per_machine) > 1.4 * inside


def test_peaks():
    assert (DGX1.peak, DGX2H.peak, DGX_A100.peak) == pytest.approx((1.25e14, 1.3e14, 3.12e14))

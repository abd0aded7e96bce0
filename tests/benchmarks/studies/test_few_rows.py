"""The study of kernels for few rows."""

import pytest
import torch
from torch import nn

from benchmarks.harness.shapes import TINY
from benchmarks.studies import few_rows
from benchmarks.studies.few_rows import KERNELS, Limits
from modeling_glm.mlp_glm import EXCHANGEABLE_FUNCTIONS


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_compute_the_same(name):
    if name == "MKL, packed" and not torch.backends.mkl.is_available():
        pytest.skip("this torch has no MKL")
    layer, states = nn.Linear(64, 96), torch.randn(4, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(KERNELS[name](layer, 4)(states), layer(states), atol=1e-5)


def test_limits_by_hand():
    """A layer of 8 x 4 weights: 128 bytes, and 64 operations a row."""
    limits = Limits(bandwidth=128.0, peak=640.0)
    assert limits.least_seconds([nn.Linear(8, 4)] * 2, rows=1) == 2.0
    assert limits.least_seconds([nn.Linear(8, 4)] * 2, rows=20) == 4.0


@pytest.mark.slow
def test_all_kernels_are_timed(monkeypatch, capsys):
    monkeypatch.setattr(few_rows, "BASE", TINY)
    before = dict(EXCHANGEABLE_FUNCTIONS)
    few_rows.main(["--rows", "1", "2", "--layers", "2", "--rounds", "1", "--quick", "--decode"])
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert len(table) == 2 + 2 * len(KERNELS) + 2 + 2
    assert before == EXCHANGEABLE_FUNCTIONS

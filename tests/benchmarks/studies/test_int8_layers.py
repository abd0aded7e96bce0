"""The study of linear layers in int8."""

import torch

from benchmarks.harness.shapes import Shape
from benchmarks.studies import int8_layers
from benchmarks.studies.int8_layers import BF16, FP32, INT8, TORCH_INT8, convert, make_linears, rounding_error


def test_scales_of_tokens_lose_less_than_a_scale_of_the_batch():
    linear, *_ = make_linears(Shape("Small", 256, 1, 512), 1)
    states = torch.randn(16, 256, generator=torch.Generator().manual_seed(0)) * torch.linspace(0.1, 2, 16)[:, None]
    errors = {name: rounding_error(linear, name, states) for name in (FP32, BF16, INT8, TORCH_INT8)}
    assert errors[FP32] == 0 < errors[BF16] < errors[INT8] < 0.8 * errors[TORCH_INT8]


def test_all_layers_are_timed(monkeypatch, capsys):
    monkeypatch.setattr(int8_layers, "BASE", Shape("Small", 64, 1, 128))
    int8_layers.main(["--rows", "1", "2", "--layers", "2", "--rounds", "1"])
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert len(table) == 2 + 2 * 4
    assert len(convert(INT8, make_linears(Shape("Small", 64, 1, 128), 2))) == 9

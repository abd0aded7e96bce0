"""Muon's step in fp32, against singular values and scalars."""

import pytest
import torch

from modeling_glm.pretraining import muon
from modeling_glm.pretraining.muon import lacks_bf16, orthogonalize, step_in_fp32

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of torch.optim.Muon


@pytest.mark.parametrize("shape", [(5, 5), (3, 8), (8, 3), (1, 4)])
def test_every_iteration_applies_the_polynomial_to_the_singular_values(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    left, values, right = torch.linalg.svd(matrix.double(), full_matrices=False)
    values = values / values.norm()
    a, b, c = COEFFICIENTS
    for _ in range(5):
        values = a * values + b * values**3 + c * values**5
    expected = left @ values.diag() @ right
    torch.testing.assert_close(orthogonalize(matrix, COEFFICIENTS, 5, 1e-7), expected.float(), atol=1e-4, rtol=1e-4)


def test_a_matrix_of_zeros_stays():
    assert not orthogonalize(torch.zeros(3, 4), COEFFICIENTS, 5, 1e-7).any()


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has no Muon")
@pytest.mark.parametrize("nesterov", [False, True])
def test_a_matrix_of_one_weight_moves_as_by_hand(nesterov):
    weight, frozen = torch.nn.Parameter(torch.tensor([[2.0]])), torch.nn.Parameter(torch.tensor([[5.0]]))
    options = {"lr": 0.1, "weight_decay": 0.5, "momentum": 0.9, "nesterov": nesterov}
    optimizer = torch.optim.Muon([weight, frozen], **options, adjust_lr_fn="match_rms_adamw")
    expected, average = 2.0, 0.0
    size = orthogonalize(torch.ones(1, 1), COEFFICIENTS, 5, 1e-7).item()
    for gradient in (3.0, -1.0, -40.0):
        weight.grad = torch.tensor([[gradient]])
        step_in_fp32(optimizer)
        average = 0.9 * average + 0.1 * gradient
        update = 0.1 * gradient + 0.9 * average if nesterov else average
        expected = expected * (1 - 0.1 * 0.5) - 0.1 * 0.2 * size * (1 if update > 0 else -1)
        assert weight.item() == pytest.approx(expected, rel=1e-5)
    assert frozen.item() == 5.0


@pytest.mark.parametrize(("instructions", "slow"), [((), True), (("AVX2",), True), (("AVX-512", "BF16"), False)])
def test_a_cpu_without_bf16_is_known(instructions, slow, monkeypatch):
    monkeypatch.setattr(muon, "cpu_instructions", lambda: instructions)
    assert lacks_bf16([torch.ones(1)]) is slow
    assert not lacks_bf16([torch.ones(1), torch.ones(1, device="meta")])

"""Operations and bytes of matmuls against numbers worked by hand."""

import pytest
import torch
from torch.nn import functional as F

from benchmarks.profiling.matmuls import LeastTime, Matmul, bytes_of, count_matmuls, least_time
from modeling_glm.cpu_functions.few_rows import multiply_by_onednn


@pytest.mark.parametrize("inference", [False, True])
def test_a_linear_layer(inference):
    """3 x 4 times 4 x 5: 60 multiplications and additions, and 12 + 20 + 5 + 15 floats."""
    states, weight, bias = torch.ones(3, 4), torch.ones(5, 4), torch.ones(5)
    with torch.inference_mode(inference):
        assert count_matmuls(lambda: F.linear(states, weight, bias)) == [Matmul(120, 4 * 52)]


@pytest.mark.parametrize("inference", [False, True])
def test_a_linear_layer_by_onednn(inference):
    if not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        pytest.skip("this torch has no kernel of oneDNN to call")
    states, weight, bias = torch.ones(3, 4), torch.ones(5, 4), torch.ones(5)
    with torch.inference_mode(inference):
        assert count_matmuls(lambda: multiply_by_onednn(states, weight, bias)) == [Matmul(120, 4 * 52)]


def test_a_backward_pass_has_two_matmuls():
    states, weight = torch.ones(3, 4, requires_grad=True), torch.ones(4, 5, requires_grad=True)
    found = count_matmuls(lambda: (states @ weight).sum().backward())
    assert [matmul.flops for matmul in found] == [120] * 3


@pytest.mark.parametrize("inference", [False, True])
def test_fused_attention_has_two_matmuls(inference):
    """2 rows, 3 heads, 5 queries, 7 keys, 8 numbers: scores and their product with the values."""
    query, key = torch.ones(2, 3, 5, 8), torch.ones(2, 3, 7, 8)
    with torch.inference_mode(inference):
        (found,) = count_matmuls(lambda: F.scaled_dot_product_attention(query, key, key))
    assert found.flops == 2 * (2 * 2 * 3 * 5 * 7 * 8)


def test_other_operators_are_not_counted():
    assert count_matmuls(lambda: torch.ones(3).add(1).softmax(0)) == []


def test_bytes_of_expanded_tensors():
    assert bytes_of(torch.ones(3, 4)) == 48
    assert bytes_of(torch.ones(1, 4, dtype=torch.bfloat16).expand(3, 4)) == 8
    assert bytes_of(torch.ones(0, 4)) == 0


def test_least_time_takes_the_longer_of_both_for_each_matmul():
    found = least_time([Matmul(100.0, 10.0), Matmul(10.0, 40.0)], peak=10.0, bandwidth=2.0)
    assert found == LeastTime(flops=110, bytes=50, compute_seconds=11, memory_seconds=25, seconds=10 + 20)

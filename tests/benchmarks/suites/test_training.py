"""The training suite."""

import pytest

from benchmarks.harness.results import LimitShare, Memory, Speed
from benchmarks.suites import training


@pytest.mark.slow  # two processes of their own for the memory
def test_suite_runs(quick):
    results = training.run(quick)
    assert [result.peer for result in results if isinstance(result, Speed)] == [
        *["naive GLM", "GPT-2", "T5", "T5 with half the layers", "BART", "BERT"],
        *["GLM in fp32", "GLM without it", "GLM, padded to 16 x 40"],
    ]
    shares = [result for result in results if isinstance(result, LimitShare)]
    assert [share.limit for share in shares] == ["matmul peak in fp32", "matmul peak in bf16"]
    (memory,) = (result for result in results if isinstance(result, Memory))
    weights = 4 * 4 * 2**20  # Tiny has 2.6 million weights; weights, gradients and two moments in fp32
    assert 2 * weights < memory.ours < 100 * weights

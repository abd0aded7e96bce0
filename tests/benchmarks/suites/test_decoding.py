"""The decoding suite."""

from dataclasses import replace

import pytest
import torch

from benchmarks.harness.results import LimitShare, Speed
from benchmarks.harness.shapes import TINY
from benchmarks.suites import decoding


@pytest.mark.slow  # five models of three million parameters
def test_suite_runs(quick):
    results = decoding.run(quick)
    peers = [result.peer for result in results if isinstance(result, Speed)]
    assert peers == [
        "GPT-2",
        "BERT without its head",
        "GPT-2",
        "T5",
        "BART",
        decoding.KEPT,
        decoding.KEPT,
        decoding.REREAD,
    ]
    assert sum("int8" in result.work for result in results) == 1
    limits = [result.limit for result in results if isinstance(result, LimitShare)]
    assert limits == ["matmul peak in fp32", "memory bandwidth"]


def test_bytes_are_weights_and_cache():
    case = decoding.DecodingCase(shape=TINY, rows=3, length=10, new_tokens=5)
    weights = (12 * 2 * 256**2 + 256 * 4096) * 4
    cache = 2 * 2 * 256 * 4 * 3 * 12.5
    assert case.bytes_read == 4 * (weights + cache)
    assert case.work == "Tiny, 3 x 10, 5 new tokens, float32"


def test_gpu_has_cases_of_its_own(quick):
    cases = decoding.decoding_cases(replace(quick, quick=False, device="cuda"))
    assert {case.dtype for case in cases} == {torch.bfloat16}
    assert {case.shape.name for case in cases} == {"Large", "2B", "10B"}


def test_different_work_is_refused():
    ids = torch.tensor([[1, 2], [3, 4]])
    decoding.require_same(ids, torch.tensor([[1, 2], [3, 5]]))
    with pytest.raises(RuntimeError, match="Only 0% of the rows"):
        decoding.require_same(ids, ids + 1)

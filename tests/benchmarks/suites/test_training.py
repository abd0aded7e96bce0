"""The training suite."""

import pytest

from benchmarks.harness.results import LimitShare, Memory, Speed
from benchmarks.harness.shapes import TINY, build_glm
from benchmarks.harness.steps import GLM
from benchmarks.suites import training
from modeling_glm import GLMForConditionalGeneration
from tests.support.kills import watch


def call_here(function, *arguments):
    """Call a function in this process, which is faster, where its figures do not matter."""
    return function(*arguments)


@pytest.mark.slow  # trains nine models of three million parameters
def test_suite_runs(quick, monkeypatch):
    monkeypatch.setattr(training, "run_alone", call_here)
    results = training.run(quick)
    assert [result.peer for result in results if isinstance(result, Speed)] == [
        *["naive GLM", "GPT-2", "T5", "T5 with half the layers", "BART", "BERT"],
        *[
            "GLM in fp32",
            "GLM as on the hub",
            "GLM in fp32",
            "GLM with Muon",
            "GLM without it",
            "GLM, padded to 16 x 40",
        ],
    ]
    shares = [result for result in results if isinstance(result, LimitShare)]
    assert [share.limit for share in shares] == ["matmul peak in fp32", "matmul peak in bf16"]
    assert [result.peer for result in results if isinstance(result, Memory)] == ["naive GLM"]


def print_memory():
    print(training.measure_memory(GLM, "Tiny", 4096, 1, 32)["bytes"])


@pytest.mark.slow  # a separate process
def test_memory_holds_weights_gradients_and_moments(tmp_path):
    ended = watch(print_memory, root=tmp_path)
    assert ended.code == 0, ended.output
    parameters = build_glm(GLMForConditionalGeneration, TINY).num_parameters()
    # The step before leaves some memory that is used again.
    assert 0.6 < float(ended.output.splitlines()[-1]) / (4 * 4 * parameters) < 2.5

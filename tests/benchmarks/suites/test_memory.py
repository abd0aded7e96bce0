"""The suite of memory, and that memory stays flat over a few fillings and training steps."""

import pytest

from benchmarks.harness.results import Memory, Repetition
from benchmarks.harness.shapes import Shape, build_glm
from benchmarks.suites import memory
from modeling_glm import GLMForConditionalGeneration
from tests.support.models import TEXTS

# The model of these tests has 2 MiB, and so do its gradients.
MOST_BYTES = 2**19


@pytest.fixture
def small(monkeypatch):
    """A small model, and short texts, because building the embedded corpus takes seconds."""
    tokenizer = memory.load_tokenizer()
    shape = Shape("One layer", hidden=64, layers=1, vocabulary=len(tokenizer))
    model = build_glm(GLMForConditionalGeneration, shape, **tokenizer.special_token_ids)
    monkeypatch.setattr(memory, "load_embedded", lambda: model)
    monkeypatch.setattr(memory, "make_texts", lambda count: [f"The number {n} is [MASK]." for n in range(count)])
    monkeypatch.setattr(memory, "training_texts", lambda count: [TEXTS[n % len(TEXTS)] for n in range(count)])


@pytest.mark.parametrize(("function", "times"), [("repeat_fillings", 36), ("repeat_steps", 24)])
def test_memory_stays_flat(small, function, times):
    found = getattr(memory, function)(times)
    assert found["objects"] < 1
    assert found["bytes"] < MOST_BYTES


def test_suite_runs(quick, monkeypatch):
    def run_alone(function, *arguments):
        if function is memory.measure_memory:
            return {"bytes": {"GLM": 2.0, "GPT-2": 4.0, "BART": 5.0, "BART with half the layers": 1.0}[arguments[0]]}
        return {"bytes": 1024.0, "objects": 0.5}

    monkeypatch.setattr(memory, "run_alone", run_alone)
    results = memory.run(quick)
    assert [type(result) for result in results] == [Repetition, Repetition, *[Memory] * 3]
    assert results[0].cells == ("fill a text with glm-tiny", "24", "0.0", "1.00", "0.50")
    assert [(result.peer, result.summary) for result in results[2:]] == [
        ("GPT-2", "50% of the memory"),
        ("BART", "40% of the memory"),
        ("BART with half the layers", "200% of the memory"),
    ]

"""The quantization suite."""

import copy

import pytest
import torch

from benchmarks.harness.results import Quality, Speed
from benchmarks.harness.shapes import TINY, build_glm, make_contexts
from benchmarks.suites import quantization
from examples.corpora.measuring.sample import read_sample
from modeling_glm import GLMForConditionalGeneration


@pytest.mark.parametrize("name", ["int8", quantization.TORCH_INT8])
def test_int8_reaches_every_projection_and_changes_little(name):
    model = build_glm(GLMForConditionalGeneration, TINY)
    quantized = quantization.conversions()[name](copy.deepcopy(model))
    assert not [name for name, module in quantized.named_modules() if isinstance(module, torch.nn.Linear)]
    contexts = make_contexts(model.config, 2, 32)
    with torch.inference_mode():
        found, expected = quantized(contexts).logits, model(contexts).logits
    assert 0 < (found - expected).square().mean() < 1e-2 * expected.square().mean()


def test_bf16_is_left_out_where_it_is_too_slow():
    assert set(quantization.conversions()) - set(quantization.conversions(bf16=False)) == {"bf16"}


@pytest.mark.slow  # fills 16 blanks with each of several models
def test_suite_runs(quick, monkeypatch):
    sample = dict(list(read_sample().items())[:2])
    monkeypatch.setattr(quantization, "read_sample", lambda: sample)
    results = quantization.run(quick)
    names = list(quantization.conversions())
    families = [f"glm-tiny, {name}, {family}" for family in sample for name in ("bf16", "int8")]
    assert [type(result) for result in results] == [Speed] * len(names) + [Quality] * (len(names) + len(families))
    assert [result.work for result in results[2 * len(names) :]] == families
    for result in results[len(names) : 2 * len(names)]:
        assert result.loss == pytest.approx(result.peer_loss, abs=0.1)
        assert result.exact > 0.5

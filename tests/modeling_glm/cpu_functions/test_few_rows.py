"""Matmuls of few rows by oneDNN: the same results, and only where calling the layer would do nothing else."""

import pytest
import torch
from torch import nn

from modeling_glm import GLMForConditionalGeneration, GLMForMultipleChoice
from modeling_glm.cpu_functions import few_rows, switch
from modeling_glm.cpu_functions.few_rows import MOST_ROWS, project_few_rows, suits_few_rows
from tests.support.models import make_model

pytestmark = pytest.mark.skipif(
    not hasattr(torch.ops.mkldnn, "_linear_pointwise"), reason="this torch has no kernel of oneDNN to call"
)
IDS = torch.tensor([[2, 11, 3, 12, 1, 6], [2, 3, 14, 12, 1, 6]])


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    """A CPU of several cores on which the kernel is faster, whichever this is."""
    monkeypatch.setattr(few_rows, "has_faster_kernel", lambda: True)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)


@pytest.fixture
def calls(monkeypatch) -> list[int]:
    """The numbers of rows of the kernel's calls."""
    rows, original = [], few_rows.multiply_by_onednn
    monkeypatch.setattr(few_rows, "multiply_by_onednn", lambda *args: rows.append(len(args[0])) or original(*args))
    return rows


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1,), (3,), (2, 5), (1, 1), (2, 3, 4), (MOST_ROWS,)], ids=str)
def test_results_are_those_of_the_layer(calls, shape, bias):
    layer = nn.Linear(48, 80, bias)
    states = torch.randn(*shape, 48, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(project_few_rows(layer, states), layer(states), atol=1e-5)
        turned = torch.randn(48, 4).t()
        assert torch.allclose(project_few_rows(layer, turned), layer(turned), atol=1e-5)
        assert project_few_rows(layer, states[..., :0, :]).shape == (*shape[:-1], 0, 80)
    assert calls == [states.numel() // 48, 4]


@pytest.mark.parametrize("dynamic", [False, True])
def test_compiled_code_calls_it_too(calls, dynamic):
    layer, compiled = nn.Linear(48, 80), []
    torch.compiler.reset()
    project = torch.compile(project_few_rows, fullgraph=True, dynamic=dynamic, backend="aot_eager")
    for shape in [(3, 48), (2, 5, 48), (MOST_ROWS + 1, 48)]:
        states = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            assert torch.allclose(project(layer, states), layer(states), atol=1e-5)
        compiled.append(list(calls))
    assert compiled == [[3], [3, 10], [3, 10]]
    assert project(layer, states[:2]).requires_grad
    assert calls == [3, 10]


@pytest.mark.parametrize("strict", [False, True])
def test_exported_programs_do_not_call_it(calls, strict):
    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(48, 80)

        def forward(self, states):
            return project_few_rows(self.layer, states)

    states = torch.ones(2, 48)
    with torch.no_grad():
        program = torch.export.export(Layer(), (states,), strict=strict)
        program.module()(states)
    assert calls == []
    assert "modeling_glm" not in program.graph_module.code


def hooked(layer: nn.Linear) -> nn.Linear:
    layer.register_forward_hook(lambda *args: None)
    return layer


@pytest.mark.parametrize(
    ("layer", "states"),
    [
        (nn.Linear(8, 8), torch.ones(MOST_ROWS + 1, 8)),
        (nn.Linear(8, 8), torch.ones(0, 8)),
        (nn.Linear(8, 8).bfloat16(), torch.ones(1, 8).bfloat16()),
        (nn.Linear(8, 8).double(), torch.ones(1, 8).double()),
        (nn.Linear(8, 8, device="meta"), torch.ones(1, 8, device="meta")),
        (hooked(nn.Linear(8, 8)), torch.ones(1, 8)),
        (nn.Sequential(nn.Linear(8, 8)), torch.ones(1, 8)),
        (nn.Linear(8, 8), nn.Parameter(torch.ones(1, 8))),
    ],
    ids=["many rows", "no rows", "bf16", "fp64", "meta", "hook", "other layer", "other tensor"],
)
def test_what_does_not_suit_it(layer, states):
    with torch.no_grad():
        assert suits_few_rows(nn.Linear(8, 8), torch.ones(1, 8))
        assert not suits_few_rows(layer, states)


def test_when_it_does_not_suit(monkeypatch):
    layer, states = nn.Linear(8, 8), torch.ones(1, 8)
    assert not suits_few_rows(layer, states)  # gradients
    with torch.no_grad():
        with torch.autocast("cpu", torch.bfloat16):
            assert not suits_few_rows(layer, states)
        monkeypatch.setattr(few_rows, "has_faster_kernel", lambda: False)
        assert not suits_few_rows(layer, states)
        monkeypatch.setattr(few_rows, "has_faster_kernel", lambda: True)
        monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
        assert not suits_few_rows(layer, states)


def test_the_vendor_decides(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    for vendor, expected in (("AuthenticAMD", True), ("GenuineIntel", False), ("", False)):
        monkeypatch.setattr(few_rows, "cpu_vendor", lambda vendor=vendor: vendor)
        few_rows.has_faster_kernel.cache_clear()
        assert few_rows.has_faster_kernel() is expected
    few_rows.has_faster_kernel.cache_clear()


def test_all_layers_of_a_model_use_it(calls):
    model = make_model(GLMForConditionalGeneration)
    with torch.no_grad():
        found = model(IDS).logits
        assert calls == [12] * (4 * model.config.num_hidden_layers + 1)
        switch.disable()
        try:
            expected = model(IDS).logits
        finally:
            switch.enable()
    assert torch.allclose(found, expected, atol=1e-5)
    assert len(calls) == 4 * model.config.num_hidden_layers + 1
    model(IDS)  # with gradients
    assert len(calls) == 4 * model.config.num_hidden_layers + 1


def test_fillings_and_choices_are_the_same(calls):
    """Random weights, large enough that the answers are not all equal."""
    model = make_model(GLMForConditionalGeneration, initializer_range=0.3)
    chooser = make_model(GLMForMultipleChoice, initializer_range=0.3)
    choices = torch.tensor([[[11, 12], [13, -100]], [[11, 12], [13, -100]]])

    def answer():
        generated = model.generate(IDS, max_new_tokens=6, do_sample=False)
        with torch.no_grad():
            return generated, chooser(IDS[:, :5], choice_ids=choices).logits

    found, scores = answer()
    assert calls
    switch.disable()
    try:
        expected, expected_scores = answer()
    finally:
        switch.enable()
    assert torch.equal(found, expected)
    assert torch.allclose(scores, expected_scores, atol=1e-5)

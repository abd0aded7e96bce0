"""The switch between the functions of the uploaded files and those for CPUs."""

import copy

import pytest
import torch
import transformers.modeling_utils as library
from torch.nn import functional as F

from modeling_glm import GLMForConditionalGeneration
from modeling_glm.attention_glm import ALL_ATTENTION_FUNCTIONS
from modeling_glm.cpu_functions import attention as cpu_attention
from modeling_glm.cpu_functions import dropout as cpu_dropout
from modeling_glm.cpu_functions import switch
from modeling_glm.cpu_functions.attention import RecomputedAttention, sdpa_attention_forward
from modeling_glm.cpu_functions.few_rows import project_few_rows
from modeling_glm.cpu_functions.gelu import GELUWithSlope
from modeling_glm.cpu_functions.kept_weights import KeptAttention, eager_attention
from modeling_glm.cpu_functions.mlp import RecomputedActivation, project_recomputed
from modeling_glm.mlp_glm import EXCHANGEABLE_FUNCTIONS, project, project_activated
from tests.support.models import make_model

IDS = torch.tensor([[2, 11, 3, 12, 1, 6, 13, 14], [2, 3, 14, 12, 1, 6, 15, 16]])
LABELS = IDS.roll(-1, dims=1).masked_fill((torch.arange(8) < 5) | (torch.arange(8) == 7), -100)


@pytest.fixture
def disabled():
    switch.disable()
    yield
    switch.enable()


def test_importing_the_package_enables_the_functions_for_glm_alone():
    assert ALL_ATTENTION_FUNCTIONS["sdpa"] is sdpa_attention_forward
    assert ALL_ATTENTION_FUNCTIONS["eager"] is eager_attention
    assert {
        "dropout": cpu_dropout.dropout,
        "project": project_few_rows,
        "project_activated": project_recomputed,
    } == EXCHANGEABLE_FUNCTIONS
    assert library.ALL_ATTENTION_FUNCTIONS["sdpa"] is not sdpa_attention_forward


def test_disabled_the_functions_are_those_of_the_hub(disabled):
    switch.disable()  # twice does no harm
    assert ALL_ATTENTION_FUNCTIONS["sdpa"] is library.ALL_ATTENTION_FUNCTIONS["sdpa"]
    assert "eager" not in ALL_ATTENTION_FUNCTIONS
    expected = {"dropout": F.dropout, "project": project, "project_activated": project_activated}
    assert expected == EXCHANGEABLE_FUNCTIONS


def calls_in_training(monkeypatch, model, **how) -> list[type]:
    called = []
    for function in (RecomputedAttention, RecomputedActivation, KeptAttention, GELUWithSlope):
        original = function.apply
        monkeypatch.setattr(
            function, "apply", lambda *args, f=function, o=original: called.append(f) or o(*args), raising=False
        )
    model(IDS, labels=LABELS, **how)
    return called


@pytest.mark.parametrize("case", ["gradients", "no gradients", "frozen"])
def test_training_with_dropout_recomputes_attention_and_mlp(monkeypatch, case):
    """Gradients decide nothing, because checkpointing runs a layer without and with them, and needs the same dropout."""
    model = make_model(GLMForConditionalGeneration, attention_dropout=0.1).train().requires_grad_(case != "frozen")
    layers = model.config.num_hidden_layers
    with torch.set_grad_enabled(case != "no gradients"):
        assert calls_in_training(monkeypatch, model) == [RecomputedAttention, RecomputedActivation] * layers


@pytest.mark.parametrize("case", ["evaluation", "disabled"])
@pytest.mark.parametrize("autocast", [False, True])
def test_nothing_else_does(monkeypatch, case, autocast, request):
    if case == "disabled":
        request.getfixturevalue("disabled")
    model = make_model(GLMForConditionalGeneration, attention_dropout=0.1).train(case != "evaluation")
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        assert calls_in_training(monkeypatch, model) == []


@pytest.mark.parametrize(
    ("implementation", "dropout", "expected"),
    [
        ("sdpa", 0.0, [KeptAttention, GELUWithSlope]),
        ("eager", 0.0, [KeptAttention, GELUWithSlope]),
        ("sdpa", 0.1, [RecomputedAttention, GELUWithSlope]),
        ("eager", 0.1, [GELUWithSlope]),
    ],
)
def test_training_in_bf16_keeps_slopes_and_keeps_or_recomputes_attention(
    monkeypatch, implementation, dropout, expected
):
    model = make_model(
        GLMForConditionalGeneration, attn_implementation=implementation, attention_dropout=dropout
    ).train()
    with torch.autocast("cpu", torch.bfloat16):
        called = calls_in_training(monkeypatch, model)
    assert called == expected * model.config.num_hidden_layers


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_gradients_in_bf16_are_as_near_to_fp32_as_those_of_the_uploaded_model(implementation, request):
    model = make_model(GLMForConditionalGeneration, attn_implementation=implementation).train()
    exact = copy.deepcopy(model)
    exact(IDS, labels=LABELS).loss.backward()
    uploaded = copy.deepcopy(model)

    def distance(trained: torch.nn.Module) -> float:
        with torch.autocast("cpu", torch.bfloat16):
            loss = trained(IDS, labels=LABELS).loss
        loss.backward()
        pairs = zip(trained.parameters(), exact.parameters(), strict=True)
        return float(sum((ours.grad - expected.grad).square().sum() for ours, expected in pairs)) ** 0.5

    ours = distance(model)
    request.getfixturevalue("disabled")
    size = float(sum(parameter.grad.square().sum() for parameter in exact.parameters())) ** 0.5
    assert 0 < ours < 0.03 * size
    assert ours < 1.5 * distance(uploaded)


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_loss_and_gradients_are_those_of_the_uploaded_model(monkeypatch, implementation, request):
    """Without draws: every element is kept."""
    settings = {"hidden_dropout": 0.1, "attention_dropout": 0.1, "embedding_dropout": 0.1}
    model = make_model(GLMForConditionalGeneration, attn_implementation=implementation, **settings).train()
    plain = copy.deepcopy(model)
    for module in plain.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if hasattr(module, "attention_dropout"):
            module.attention_dropout = 0.0

    def keep_all(states, p):
        return torch.ones_like(states, dtype=torch.bool), 1.0

    monkeypatch.setattr(cpu_attention, "draw_kept", keep_all)
    monkeypatch.setattr(cpu_dropout, "draw_kept", keep_all)
    model(IDS, labels=LABELS).loss.backward()
    request.getfixturevalue("disabled")
    plain(IDS, labels=LABELS).loss.backward()
    for ours, expected in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, expected.grad, atol=1e-5, rtol=1e-4)

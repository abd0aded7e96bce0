"""The signatures of the models, branches, and the projection to the vocabulary."""

import inspect

import pytest
import torch
from torch import nn

from modeling_glm import (
    GLMForConditionalGeneration,
    GLMForMultipleChoice,
    GLMModel,
)
from modeling_glm.layout_glm import compute_position_ids
from modeling_glm.modeling_glm import RESIDUAL
from tests.support.models import TOKEN_IDS, make_model

MASK, SOP, EOS, CLS = (TOKEN_IDS[f"{name}_token_id"] for name in ("mask", "sop", "eos", "cls"))
CONTEXT = [CLS, 11, MASK, 12, EOS, SOP]
BRANCHES = [[20, 21, 22], [23, 24]]


def side_by_side() -> dict[str, torch.Tensor]:
    """Lay out two continuations of one piece as branches of one row."""
    count = len(CONTEXT)
    positions = compute_position_ids(torch.tensor([CONTEXT]), make_model(GLMModel).config)[0]
    row0 = [*positions[0].tolist(), *[2] * 5]
    row1 = [*positions[1].tolist(), 2, 3, 4, 2, 3]
    return {
        "input_ids": torch.tensor([[*CONTEXT, *BRANCHES[0], *BRANCHES[1]]]),
        "position_ids": torch.tensor([[row0, row1]]),
        "branch": torch.tensor([[0] * count + [1] * 3 + [2] * 2]),
    }


def test_branch_is_a_documented_keyword():
    assert "branch" in inspect.signature(GLMModel.forward).parameters
    assert "branch: (batch, seq)" in GLMModel.forward.__doc__


@pytest.mark.parametrize("implementation", ["eager", "sdpa", "flex_attention"])
def test_branches_are_as_if_alone(implementation):
    model = make_model(GLMModel, attn_implementation=implementation)
    with torch.no_grad():
        together = model(**side_by_side()).last_hidden_state[0, len(CONTEXT) :]
        alone = [
            model(torch.tensor([[*CONTEXT, *branch]])).last_hidden_state[0, len(CONTEXT) :] for branch in BRANCHES
        ]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=1e-5)


def test_branches_go_through_the_head():
    model = make_model(GLMForConditionalGeneration)
    with torch.no_grad():
        together = model(**side_by_side()).logits[0, len(CONTEXT) + 3 :]
        alone = model(torch.tensor([[*CONTEXT, *BRANCHES[1]]])).logits[0, len(CONTEXT) :]
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_branches_behind_a_cache_are_refused():
    model = make_model(GLMModel)
    cache = model(torch.tensor([CONTEXT]), use_cache=True).past_key_values
    with pytest.raises(ValueError, match="branch needs the whole input"):
        model(
            torch.tensor([[20]]),
            position_ids=torch.tensor([[[2], [2]]]),
            past_key_values=cache,
            branch=torch.ones(1, 1, dtype=torch.long),
        )


@pytest.mark.parametrize("model_class", [GLMForConditionalGeneration, GLMForMultipleChoice])
def test_vocabulary_logits_are_products_with_the_embeddings(model_class):
    model = make_model(model_class)
    states = torch.randn(2, 3, model.config.hidden_size)
    with torch.no_grad():
        logits = model.vocabulary_logits(states)
        torch.testing.assert_close(logits, states @ model.get_input_embeddings().weight.T)


def test_a_projection_that_is_split_is_refused():
    model = make_model(GLMForConditionalGeneration)
    model.lm_head = nn.Linear(model.config.hidden_size, 10, bias=False)
    with pytest.raises(RuntimeError, match="gave 10 of 64 logits"):
        model.vocabulary_logits(torch.zeros(1, model.config.hidden_size))


def test_residual_projections_are_plain_linear_layers():
    marked = [module for module in make_model(GLMModel).modules() if hasattr(module, RESIDUAL)]
    assert [type(module) for module in marked] == [nn.Linear] * 6  # two in each of three layers

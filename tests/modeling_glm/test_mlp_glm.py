"""The MLP, and the projections into the residual stream."""

import torch
from torch import nn

from modeling_glm import GLMModel
from modeling_glm.mlp_glm import GLMMLP, RESIDUAL
from tests.support.models import make_model


def test_residual_projections_are_plain_linear_layers():
    marked = [module for module in make_model(GLMModel).modules() if hasattr(module, RESIDUAL)]
    assert [type(module) for module in marked] == [nn.Linear] * 6  # two in each of three layers


def test_mlp_by_hand():
    mlp = make_model(GLMModel).transformer.layers[0].mlp
    assert type(mlp) is GLMMLP
    states = torch.randn(2, 5, mlp.dense_h_to_4h.in_features)
    inner = states @ mlp.dense_h_to_4h.weight.T + mlp.dense_h_to_4h.bias
    # The tanh form of GELU.
    inner = 0.5 * inner * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (inner + 0.044715 * inner**3)))
    torch.testing.assert_close(mlp(states), inner @ mlp.dense_4h_to_h.weight.T + mlp.dense_4h_to_h.bias)

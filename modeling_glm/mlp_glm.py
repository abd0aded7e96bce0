"""The MLP of a layer, and what it shares with the attention: dropout and the projection into the residual stream."""

from collections.abc import Callable

import torch
from torch import nn
from transformers.activations import ACT2FN

from .configuration_glm import GLMConfig

# Marks the projections that `residual_projection` makes.
RESIDUAL = "_glm_residual"


def project(layer: nn.Linear, states: torch.Tensor) -> torch.Tensor:
    """Compute `layer(states)`."""
    return layer(states)


def project_activated(layer: nn.Linear, activation: nn.Module, states: torch.Tensor) -> torch.Tensor:
    """Compute `layer(activation(states))`, the second half of the MLP."""
    return EXCHANGEABLE_FUNCTIONS["project"](layer, activation(states))


# What the model calls by name, so that it can be exchanged. The installed package sets functions of the same results
# that are faster on CPUs (modeling_glm.cpu_functions). The model works without them.
EXCHANGEABLE_FUNCTIONS: dict[str, Callable] = {
    "dropout": nn.functional.dropout,
    "project": project,
    "project_activated": project_activated,
}


class GLMDropout(nn.Dropout):
    """Dropout by the exchangeable function."""

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return EXCHANGEABLE_FUNCTIONS["dropout"](hidden_states, self.p, self.training)


def residual_projection(in_features: int, out_features: int) -> nn.Linear:
    """
    Make a projection back into the residual stream. Its weights start smaller the more layers the model has.

    It is a marked `nn.Linear` and no subclass, because quantization looks for exactly this class.
    """
    projection = nn.Linear(in_features, out_features)
    setattr(projection, RESIDUAL, True)
    return projection


class GLMMLP(nn.Module):
    """Two linear layers with an activation function in between."""

    def __init__(self, config: GLMConfig):
        super().__init__()
        assert config.intermediate_size is not None  # the config fills it in
        self.dense_h_to_4h = nn.Linear(config.hidden_size, config.intermediate_size)
        self.activation = ACT2FN[config.hidden_act]
        self.dense_4h_to_h = residual_projection(config.intermediate_size, config.hidden_size)
        self.output_dropout = GLMDropout(config.hidden_dropout)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        hidden_states = EXCHANGEABLE_FUNCTIONS["project"](self.dense_h_to_4h, hidden_states)
        project_activated = EXCHANGEABLE_FUNCTIONS["project_activated"]
        return self.output_dropout(project_activated(self.dense_4h_to_h, self.activation, hidden_states))

"""A layer is plain if calling it only multiplies and adds."""

import pytest
import torch
from torch import nn

from modeling_glm.cpu_functions.plain import is_plain
from modeling_glm.precision.int8_layer import Int8Linear

STATES = torch.ones(2, 8)


class Watched(nn.Linear):
    """A layer with a forward of its own."""

    def forward(self, states):
        """Compute as the layer does."""
        return super().forward(states)


def make(change) -> nn.Module:
    layer = nn.Linear(8, 8)
    change(layer)
    return layer


@pytest.mark.parametrize(
    "layer",
    [
        make(lambda layer: layer.register_forward_hook(lambda *args: None)),
        make(lambda layer: layer.register_forward_pre_hook(lambda *args: None)),
        make(lambda layer: setattr(layer, "forward", lambda states: states)),
        make(lambda layer: layer.double()),
        Watched(8, 8),
        Int8Linear(nn.Linear(8, 8)),
    ],
    ids=["hook", "pre-hook", "patched forward", "other dtype", "class of its own", "int8"],
)
def test_what_is_not_plain(layer):
    assert is_plain(nn.Linear(8, 8), STATES)
    assert not is_plain(layer, STATES)


def test_autocast_replaces_what_a_layer_calls():
    with torch.autocast("cpu", torch.bfloat16):
        assert not is_plain(nn.Linear(8, 8), STATES)

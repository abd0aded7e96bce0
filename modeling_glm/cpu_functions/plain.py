"""Tell whether calling a layer only multiplies and adds, so that other functions may do it."""

import torch
from torch import nn


def is_plain(layer: nn.Linear, states: torch.Tensor) -> bool:
    """
    Return whether `layer(states)` is a matmul with its weight in the dtype of the states, and nothing else.

    Adapters, quantization and parallelism replace the class of the layer or of its weight; hooks watch its calls; autocast
    replaces what it calls.
    """
    return (
        type(layer).forward is nn.Linear.forward
        and type(layer.weight) is nn.Parameter
        and not (layer._forward_hooks or layer._forward_pre_hooks or "forward" in vars(layer))
        and layer.weight.dtype == states.dtype
        and not torch.is_autocast_enabled("cpu")
    )


__all__ = ["is_plain"]

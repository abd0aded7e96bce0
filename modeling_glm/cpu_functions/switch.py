"""Switch the faster functions for CPUs on and off."""

from contextlib import suppress

from torch.nn import functional as F

from ..attention_glm import ALL_ATTENTION_FUNCTIONS
from ..mlp_glm import EXCHANGEABLE_FUNCTIONS, project, project_activated
from .attention import sdpa_attention_forward
from .dropout import dropout
from .few_rows import project_few_rows
from .kept_weights import eager_attention
from .mlp import project_recomputed


def enable():
    """Have all models of this package use the functions of this folder. Importing the package calls it."""
    ALL_ATTENTION_FUNCTIONS["sdpa"] = sdpa_attention_forward
    ALL_ATTENTION_FUNCTIONS["eager"] = eager_attention
    EXCHANGEABLE_FUNCTIONS["dropout"] = dropout
    EXCHANGEABLE_FUNCTIONS["project"] = project_few_rows
    EXCHANGEABLE_FUNCTIONS["project_activated"] = project_recomputed


def disable():
    """Have all models use the functions that they use on the hub, where this package is not installed."""
    for name in ("sdpa", "eager"):
        with suppress(KeyError):  # the library's own "sdpa" cannot be deleted here
            del ALL_ATTENTION_FUNCTIONS[name]
    EXCHANGEABLE_FUNCTIONS["dropout"] = F.dropout
    EXCHANGEABLE_FUNCTIONS["project"] = project
    EXCHANGEABLE_FUNCTIONS["project_activated"] = project_activated


__all__ = ["disable", "enable"]

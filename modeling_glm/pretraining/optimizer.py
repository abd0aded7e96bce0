"""Muon for the matrices of the layers and AdamW for everything else, as one optimizer."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from .muon import lacks_bf16, step_in_fp32

MUON, ADAMW = "muon", "adamw"


def has_muon() -> bool:
    """Return whether this version of torch has Muon (2.9 and later)."""
    return hasattr(torch.optim, "Muon")


def is_sharded_by_launcher(environment: Mapping[str, str]) -> bool:
    """Return whether `accelerate launch` shards the parameters: Muon needs whole matrices."""
    names = ("ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED")
    return any(environment.get(name, "false").lower() in ("1", "true", "yes") for name in names)


class MuonWithAdamW(torch.optim.Optimizer):
    """
    Train some groups of parameters with `torch.optim.Muon`, and others with `torch.optim.AdamW`.

    Muon (Jordan 2024, https://kellerjordan.github.io/posts/muon) makes the update of a matrix orthogonal, so that all its
    directions move alike. Its updates are scaled to the size of AdamW's (Liu et al. 2025, arXiv 2502.16982, section 2.2):
    both have about the same learning rate and weight decay. On CPUs without bf16 arithmetic it computes in fp32.

    State and groups are those of one optimizer, so schedulers, checkpoints and gradient clipping work as always.

    Args:
        groups: Groups of parameters. Every group says by "optimizer" which of the two trains it, and may set options of
            that optimizer.
        adamw: Options of AdamW for groups that do not set them.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], adamw: dict[str, Any]):
        groups = [group for group in groups if group["params"]]
        # The two fill in their defaults, and check parameters and options.
        self._parts: dict[str, torch.optim.Optimizer] = {}
        for name, build in _BUILDERS.items():
            if own := [group for group in groups if group["optimizer"] == name]:
                self._parts[name] = build(own, adamw)
        self._in_fp32 = lacks_bf16([parameter for group in groups for parameter in group["params"]])
        super().__init__([group for part in self._parts.values() for group in part.param_groups], {})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update all parameters. `closure` computes the loss again, if given."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for name, part in self._parts.items():
            # Loading a checkpoint replaces groups and state, so they are passed on in every step.
            part.param_groups = [group for group in self.param_groups if group["optimizer"] == name]
            part.state = self.state
            if name == MUON and self._in_fp32:
                step_in_fp32(part)
            else:
                part.step()
        return loss


def _build_adamw(groups: list[dict[str, Any]], options: dict[str, Any]) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, **options)


def _build_muon(groups: list[dict[str, Any]], options: dict[str, Any]) -> torch.optim.Optimizer:
    return torch.optim.Muon(groups, adjust_lr_fn="match_rms_adamw")


# AdamW comes first: Trainer logs the learning rate of the first group.
_BUILDERS = {ADAMW: _build_adamw, MUON: _build_muon}


def hidden_matrices(model: PreTrainedModel) -> set[torch.Tensor]:
    """Return the weights of all linear layers but the vocabulary projection, whose weight is that of the embeddings."""
    projection = model.get_output_embeddings()
    return {module.weight for module in model.modules() if isinstance(module, nn.Linear) and module is not projection}


def group_parameters(
    model: PreTrainedModel, decayed: Iterable[str], weight_decay: float, muon_learning_rate: float
) -> list[dict[str, Any]]:
    """
    Share the parameters of a model between the two optimizers. Frozen ones are left out.

    Args:
        model: The model to train.
        decayed: Names of the parameters with weight decay.
        weight_decay: Their weight decay.
        muon_learning_rate: Peak learning rate of the matrices of the layers.

    Returns:
        Groups for `MuonWithAdamW`.
    """
    decayed, matrices = set(decayed), hidden_matrices(model)
    muon: dict[str, Any] = {"optimizer": MUON, "lr": muon_learning_rate, "weight_decay": weight_decay, "params": []}
    kept: dict[str, Any] = {"optimizer": ADAMW, "weight_decay": 0.0, "params": []}
    shrunk: dict[str, Any] = {"optimizer": ADAMW, "weight_decay": weight_decay, "params": []}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            group = muon if parameter in matrices else shrunk if name in decayed else kept
            group["params"].append(parameter)
    return [shrunk, kept, muon]

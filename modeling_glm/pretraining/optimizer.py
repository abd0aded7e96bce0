"""Muon for the matrices of the layers and AdamW for everything else, as one optimizer."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from ..utils.precision import cpu_instructions

MUON, ADAMW = "muon", "adamw"


def has_muon() -> bool:
    """Return whether this version of torch has Muon (2.9 and later)."""
    return hasattr(torch.optim, "Muon")


def is_sharded_by_launcher(environment: Mapping[str, str]) -> bool:
    """Return whether `accelerate launch` shards the parameters: Muon needs whole matrices."""
    names = ("ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED")
    return any(environment.get(name, "false").lower() in ("1", "true", "yes") for name in names)


def lacks_bf16(parameters: Sequence[torch.Tensor]) -> bool:
    """Return whether parameters are on a CPU that is not known to compute in bf16, as `torch.optim.Muon` does everywhere."""
    return all(parameter.device.type == "cpu" for parameter in parameters) and "BF16" not in cpu_instructions()


def orthogonalize(
    matrix: torch.Tensor, coefficients: tuple[float, float, float], steps: int, eps: float
) -> torch.Tensor:
    """
    Bring the singular values of a matrix near 1 by Newton-Schulz iterations (Jordan 2024).

    Args:
        matrix: (rows, columns) float32.
        coefficients: Of the polynomial a x + b x^3 + c x^5, which every iteration applies to the singular values.
        steps: Number of iterations.
        eps: The least norm that the matrix is divided by.

    Returns:
        (rows, columns) float32.
    """
    linear, cubic, quintic = coefficients
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide / wide.norm().clamp(min=eps)
    for _ in range(steps):
        squares = wide @ wide.T
        wide = linear * wide + (cubic * squares + quintic * squares @ squares) @ wide
    return wide if matrix.shape[0] <= matrix.shape[1] else wide.T


@torch.no_grad()
def step_in_fp32(optimizer: torch.optim.Optimizer) -> None:
    """Update the parameters of a `torch.optim.Muon` as its `step` does, with its options and state, but in fp32."""
    for group in optimizer.param_groups:
        rate, momentum = float(group["lr"]), group["momentum"]
        for parameter in group["params"]:
            if parameter.grad is None:
                continue
            state = optimizer.state[parameter]
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = torch.zeros_like(parameter.grad)
            average = state["momentum_buffer"].lerp_(parameter.grad, 1 - momentum)
            update = parameter.grad.lerp(average, momentum) if group["nesterov"] else average
            update = orthogonalize(update.float(), group["ns_coefficients"], group["ns_steps"], group["eps"])
            # As large as an update of AdamW (Liu et al. 2025, section 2.2).
            scale = 0.2 * math.sqrt(max(parameter.shape))
            parameter.mul_(1 - rate * group["weight_decay"]).sub_(update, alpha=rate * scale)


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

"""The settings that every suite receives."""

from dataclasses import dataclass

import torch

from .machine import Machine


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """
    Settings of one run of the benchmarks.

    Attributes:
        machine: The machine and its limits.
        device: The torch device that the models run on.
        quick: Use tiny models and few rounds. This checks that everything works; the numbers mean nothing.
        rounds: Number of rounds in which the runs take turns.
    """

    machine: Machine
    device: str = "cpu"
    quick: bool = False
    rounds: int = 5

    @property
    def on_gpu(self) -> bool:
        return torch.device(self.device).type != "cpu"

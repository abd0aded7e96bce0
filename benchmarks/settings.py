"""What all suites are told."""

from dataclasses import dataclass, field
from typing import Any

import torch


@dataclass
class Settings:
    """
    Attributes:
        device: Where models run.
        quick: Tiny models and few rounds, to see that everything works: its figures say nothing.
        rounds: How often the runs that are compared take turns.
        limits: What the machine can do at most; see `machine.measure_limits`.
    """

    device: str = "cpu"
    quick: bool = False
    rounds: int = 5
    limits: dict[str, Any] = field(default_factory=dict)

    @property
    def on_gpu(self) -> bool:
        return torch.device(self.device).type != "cpu"

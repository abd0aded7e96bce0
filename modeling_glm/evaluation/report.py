"""Report a measurement as plain values: the measures, what was measured and how, and with which versions."""

import hashlib
import math
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

import torch

PACKAGES = ("modeling-glm", "torch", "transformers", "tokenizers", "sacrebleu")


# The standard deviations of a normal distribution that hold 95% of it.
NORMAL_95 = 1.959964


def wilson_interval(right: int, total: int, deviations: float = NORMAL_95) -> tuple[float, float]:
    """
    Compute the interval in which the share of right answers lies (Wilson 1927): 95% unless you ask for another width.

    Args:
        right: The number of right answers.
        total: The number of answers, at least 1.
        deviations: The width of the interval in standard deviations of a normal distribution.

    Returns:
        The lowest and the highest share.
    """
    share, squared = right / total, deviations**2 / total
    centre = (share + squared / 2) / (1 + squared)
    half = math.sqrt(squared * share * (1 - share) + squared**2 / 4) / (1 + squared)
    return max(0.0, centre - half), min(1.0, centre + half)


class Measurement(Protocol):
    """Describe a result of this room: `Perplexity`, `LambadaAccuracy`, `InfillingQuality` or `ChoiceAccuracy`."""

    @property
    def errors(self) -> tuple[Any, ...]:
        """The errors of the rows that were left out."""

    def metrics(self) -> Mapping[str, Any]:
        """Return the measures by name."""

    def counts(self) -> Mapping[str, Any]:
        """Return numbers of what was measured by name."""


def build_report(
    measure: str,
    measured: Measurement,
    *,
    model: torch.nn.Module,
    model_name: str,
    file: Path,
    settings: Mapping[str, Any],
    seconds: float,
) -> dict[str, Any]:
    """
    Build a report that can be written as JSON. Numbers that are not finite become None.

    Args:
        measure: What was measured, such as "perplexity".
        measured: The result.
        model: The model.
        model_name: Its folder or its name on the hub.
        file: The file with the texts.
        settings: The settings that decide the result.
        seconds: How long it took.
    """
    parameter = next(model.parameters())
    report = {
        "measure": measure,
        "metrics": dict(measured.metrics()),
        "counts": dict(measured.counts()),
        "model": {
            "name": model_name,
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "dtype": str(parameter.dtype).removeprefix("torch."),
            "device": str(parameter.device),
        },
        "file": {"name": str(file), "sha256": hashlib.sha256(file.read_bytes()).hexdigest()},
        "settings": dict(settings),
        "versions": {"python": platform.python_version(), **find_versions()},
        "seconds": round(seconds, 1),
    }
    return _finite(report)


def find_versions() -> dict[str, str]:
    """Find the versions of the packages that take part and are installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(entry) for name, entry in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


__all__ = ["Measurement", "build_report", "find_versions", "wilson_interval"]

"""Describe when a classifier answers, and how many labels it names. The rule is saved with the task."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from ...utils.numbers import check_real_number


@dataclass(frozen=True)
class AnswerRule:
    """
    Describe what becomes an answer. It belongs to the probabilities of one calibration; the value never changes.

    Args:
        threshold: An example is answered if its best label has at least this probability. None answers all.
        coverage: The share of examples whose prediction set shall have the right label, or None without sets.
        quantile: What `find_quantile` found for that coverage.

    Raises:
        ValueError: For a number out of range, and for a coverage without its quantile.
    """

    threshold: float | None = None
    coverage: float | None = None
    quantile: float | None = None

    def __post_init__(self):
        for field in fields(self):
            if (value := getattr(self, field.name)) is not None:
                # The dataclass is frozen.
                object.__setattr__(self, field.name, check_real_number(field.name, value, least=0, most=1))
        if (self.coverage is None) != (self.quantile is None):
            raise ValueError(
                f"coverage={self.coverage} and quantile={self.quantile} go together: give both or none of them."
            )

    def to_dict(self) -> dict[str, float]:
        """Return the values that are set, as JSON can hold them; `from_dict` reads them."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any] | None) -> "AnswerRule":
        """Read what `to_dict` wrote; None means no rule. Raises a `ValueError` for unknown keys."""
        known = [field.name for field in fields(cls)]
        if unknown := sorted(set(data or {}) - set(known)):
            raise ValueError(f"Unknown keys {unknown} of an answer rule: expected {known}.")
        return cls(**(data or {}))


__all__ = ["AnswerRule"]

"""Ratios over texts and seeds, such as nats per token, with intervals that cover other texts and other seeds."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """
    A figure with its interval.

    Attributes:
        value: The mean over seeds.
        margin: Half the width of the 95% interval. NaN with one seed.
    """

    value: float
    margin: float

    def show(self, digits: int, sign: bool = False) -> str:
        """Show the value and the margin: "4.19 ± 0.06", or "+0.12 ± 0.05" with a sign."""
        value = f"{self.value:{'+' if sign else ''}.{digits}f}"
        return value if math.isnan(self.margin) else f"{value} ± {self.margin:.{digits}f}"


def estimate_ratio(numerators: np.ndarray, denominators: np.ndarray) -> Estimate:
    """
    Estimate a ratio of sums, such as the loss per token, over the texts of a set and over seeds.

    The margin joins two parts, as independent errors add up. That of the seeds has the t quantile, because they are few.
    That of the texts comes from the residuals of the ratio, so the tokens of a text count as one draw.

    Args:
        numerators: (seeds, texts). What is summed, such as the loss of a text.
        denominators: (texts,). What it is divided by, such as its tokens.
    """
    seeds, texts = numerators.shape
    ratios = numerators.sum(1) / denominators.sum()
    value = float(ratios.mean())
    if seeds < 2:
        return Estimate(value=value, margin=math.nan)
    residuals = (numerators.mean(0) - value * denominators) / denominators.mean()
    tail = (1 + CONFIDENCE) / 2
    of_texts = stats.norm.ppf(tail) * math.sqrt(residuals.var(ddof=1) / texts)
    of_seeds = stats.t.ppf(tail, seeds - 1) * math.sqrt(ratios.var(ddof=1) / seeds)
    return Estimate(value=value, margin=math.hypot(of_texts, of_seeds))


def estimate_difference(one: np.ndarray, other: np.ndarray, denominators: np.ndarray) -> Estimate:
    """
    Estimate the difference of two ratios that were measured on the same texts with the same seeds.

    Args:
        one, other: (seeds, texts). The numerators.
        denominators: (texts,).
    """
    return estimate_ratio(one - other, denominators)

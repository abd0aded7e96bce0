"""Draws that depend on the row, not on the batch it is in."""

from collections.abc import Sequence

import numpy as np
import torch
from transformers import LogitsProcessor, MinPLogitsWarper, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper


class SampleByRowLogitsProcessor(LogitsProcessor):
    """
    Draws the next token of every row itself, and leaves nothing else to draw. The draw depends on the seed, the number
    of the text, that of the sample and the step alone, so that neither the batch size nor the company changes it.

    Args:
        seed: Of all draws.
        rows: For every row of the batch the number of its text and that of the sample.
    """

    def __init__(self, seed: int, rows: Sequence[tuple[int, int]]):
        # Mixed, because streams of seeds that lie side by side are much alike.
        seeds = [np.random.SeedSequence((seed, *row)) for row in rows]
        self._generators = [torch.Generator().manual_seed(int(s.generate_state(1, np.uint64)[0] >> 1)) for s in seeds]

    def select(self, rows: Sequence[int]):
        """Goes on with some of the rows alone."""
        self._generators = [self._generators[row] for row in rows]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        noise = torch.stack([torch.empty(scores.shape[1]).exponential_(generator=g) for g in self._generators])
        # The largest of score + Gumbel noise is a draw from the softmax of the scores.
        drawn = (scores.float() - noise.to(scores.device).log()).argmax(-1, keepdim=True)
        return torch.full_like(scores, -torch.inf).scatter(1, drawn, 0.0)


def sampling_warpers(
    temperature: float, top_k: int | None, top_p: float | None, min_p: float | None
) -> list[LogitsProcessor]:
    """The library's warpers in the library's order. They raise a ValueError for what is out of range."""
    warpers: list[LogitsProcessor] = []
    if temperature != 1.0:
        warpers.append(TemperatureLogitsWarper(temperature))
    if top_k is not None:
        warpers.append(TopKLogitsWarper(top_k))
    if top_p is not None:
        warpers.append(TopPLogitsWarper(top_p))
    if min_p is not None:
        warpers.append(MinPLogitsWarper(min_p))
    return warpers

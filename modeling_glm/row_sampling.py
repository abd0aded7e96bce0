"""Draws that depend on the row, not on the batch it is in."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import torch
from transformers import LogitsProcessor, MinPLogitsWarper, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper


class SampleByRowLogitsProcessor(LogitsProcessor):
    """
    Draws the next token of every row itself, and leaves nothing else to draw. The draw depends on the seed, the number
    of the text, that of the sample and the step alone, so that neither the batch size nor the company changes it.

    Args:
        seed: Of all draws.
        numbers: The number of every text of the batch; the rows of its samples stand together.
    """

    def __init__(self, seed: int, numbers: Sequence[int]):
        self.numbers = numbers
        self._seed = seed
        self._generators: list[torch.Generator] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        samples = len(scores) // len(self.numbers)
        if not self._generators:
            # Mixed, because streams of seeds that lie side by side are much alike.
            seeds = [np.random.SeedSequence((self._seed, *row)) for row in product(self.numbers, range(samples))]
            self._generators = [
                torch.Generator().manual_seed(int(s.generate_state(1, np.uint64)[0] >> 1)) for s in seeds
            ]
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

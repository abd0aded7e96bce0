"""Random numbers of a text depend on the seed, its sample and its part, and on nothing else."""

import numpy as np
from scipy.stats import kstest

from modeling_glm.tokenization.pretraining.draws import Draws, TextDraw


def test_numbers_do_not_depend_on_the_batch():
    together = Draws(7, [3, 9, 9], [0, 0, 1], [4, 6, 5], streams=2)
    for number, (sample, part, length) in enumerate(((3, 0, 4), (9, 0, 6), (9, 1, 5))):
        alone = Draws(7, [sample], [part], [length], streams=2)
        index = np.arange(length)
        for stream in (0, 1):
            expected = alone.stream(stream, np.zeros(length, dtype=np.int64), index)
            assert together.stream(stream, np.full(length, number), index).tolist() == expected.tolist()
        for head in TextDraw:
            if head < TextDraw.COUNT:
                assert together.head(head)[number] == alone.head(head)[0]


def test_every_part_of_the_key_counts():
    first = {
        Draws(seed, [sample], [part], [1]).head(0)[0] for seed in (0, 1) for sample in (0, 1) for part in (0, 1 << 32)
    }
    assert len(first) == 8


def test_heads_and_streams_do_not_overlap():
    draws = Draws(0, [5], [0], [3], streams=2)
    text, index = np.zeros(3, dtype=np.int64), np.arange(3)
    numbers = [draws.head(head)[0] for head in range(TextDraw.COUNT)]
    numbers += [*draws.stream(0, text, index), *draws.stream(1, text, index)]
    assert len(set(numbers)) == TextDraw.COUNT + 6


def test_numbers_are_uniform():
    numbers = Draws(0, range(5000), [0] * 5000, [1] * 5000).head(0)
    assert kstest(numbers, "uniform").pvalue > 1e-4

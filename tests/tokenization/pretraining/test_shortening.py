"""Short samples out of long texts."""

import numpy as np
import pytest

from modeling_glm.tokenization.pretraining.shortening import SHORTEST_SAMPLE, cut_short_texts

CLS, EOS, STOP = 2, 1, 9


def cut(ids: list[int], numbers: list[float]) -> list[list[int]]:
    text = np.array([CLS, *ids])
    parts = cut_short_texts(text, iter(numbers), (CLS, EOS), text[1:] == STOP)
    return [part.tolist() for part in parts]


def test_a_text_that_is_short_already_stays():
    ids = list(range(10, 10 + SHORTEST_SAMPLE))
    assert cut(ids, [0.5]) == [[CLS, *ids]]


def test_parts_by_hand():
    """67 tokens with a stop as every 20th; the first number gives 32 tokens per part, the others the places."""
    ids = [STOP if place % 20 == 19 else 100 + place for place in range(67)]
    # Place 0 begins at 0 and ends behind the stop at 19; place 31 begins behind the stop at 19, and ends behind that at 39.
    assert cut(ids, [0.0, 0.0, 0.9]) == [[CLS, *ids[:20]], [CLS, *ids[20:40]]]


def test_parts_end_at_documents():
    """A part that was cut behind the [CLS] of the next document ends before it."""
    ids = [*range(100, 130), EOS, CLS, *range(200, 240)]
    (first, *_) = cut(ids, [0.0, 0.0, 0.0])
    assert first == [CLS, *range(100, 130), EOS]


@pytest.mark.parametrize("seed", range(20))
def test_parts_are_parts(seed):
    generator = np.random.default_rng(seed)
    ids = [*generator.integers(10, 60, 150).tolist(), EOS]
    parts = cut(ids, generator.random(20).tolist())
    joined = " ".join(map(str, ids))
    assert parts
    for part in parts:
        assert part[0] == CLS
        assert " ".join(map(str, part[1:])) in joined
        assert len(part) > SHORTEST_SAMPLE // 2

"""Hidden inputs and shifted positions, by hand."""

import numpy as np
import pytest

from modeling_glm.tokenization.pretraining.samples import InfillingSamples, blank_out
from modeling_glm.tokenization.pretraining.spans import SpanPlaces, Spans
from modeling_glm.tokenization.pretraining.texts import Texts
from modeling_glm.tokenization.pretraining.variants import hide_context, hide_pieces, shift_positions

CLS, EOS, MASK, SOP, EOP, HIDDEN = 2, 1, 3, 6, 7, 8


class FixedDraws:
    """The number of each token of the text, in every stream."""

    def __init__(self, numbers: list[float]):
        self.numbers = np.array(numbers)

    def stream(self, stream, text, index):
        return self.numbers[index]


@pytest.fixture
def texts() -> Texts:
    return Texts.join([np.array([CLS, 10, 11, 12, 13, 14, EOS])], (CLS, EOS))


@pytest.fixture
def samples(texts) -> InfillingSamples:
    """[CLS] 10 M 13 14 <eos> | S 11 12"""
    places = SpanPlaces(text=np.array([0]), start=np.array([2]), stop=np.array([4]), open_end=np.array([False]))
    return blank_out(texts, Spans(places=places, mask_ids=np.array([MASK]), sop_ids=np.array([SOP])), EOP)


def test_pieces(samples, texts):
    draws = FixedDraws([0.0, 0.0, 0.9, 0.1, 0.0, 0.0, 0.0])
    hide_pieces(samples, texts, np.array([True]), draws, 3, probability=0.5, dblock_token_id=HIDDEN)
    assert samples.input_ids.tolist() == [CLS, 10, MASK, 13, 14, EOS, SOP, 11, HIDDEN]
    assert samples.labels.tolist() == [-100] * 6 + [11, 12, EOP]


def test_context(samples, texts):
    """Of the two tokens beside the blank, the one with the smaller number; boundaries stay."""
    draws = FixedDraws([0.0, 0.7, 0.0, 0.0, 0.2, 0.0, 0.0])
    hide_context(samples, texts, np.array([True]), draws, 3, ratio=1 / 7, reach=1, dblock_token_id=HIDDEN)
    assert samples.input_ids.tolist() == [CLS, 10, MASK, HIDDEN, 14, EOS, SOP, 11, 12]
    hide_context(samples, texts, np.array([True]), draws, 3, ratio=1.0, reach=5, dblock_token_id=HIDDEN)
    assert samples.input_ids.tolist() == [CLS, HIDDEN, MASK, HIDDEN, HIDDEN, EOS, SOP, 11, 12]


def test_only_chosen_texts_change(samples, texts):
    before = samples.input_ids.tolist()
    draws = FixedDraws([0.0] * 7)
    hide_pieces(samples, texts, np.array([False]), draws, 3, probability=1.0, dblock_token_id=HIDDEN)
    hide_context(samples, texts, np.array([False]), draws, 3, ratio=1.0, reach=5, dblock_token_id=HIDDEN)
    assert samples.input_ids.tolist() == before


@pytest.mark.parametrize(("number", "shift"), [(0.0, 0), (0.5, 2), (0.99, 4)])
def test_positions(samples, number, shift):
    """Part A has 6 tokens; with 10 rows it may start at 0 to 4."""
    before = samples.position_ids.copy()
    shift_positions(samples, np.array([number]), 10)
    assert (samples.position_ids[0] == before[0] + shift).all()
    assert (samples.position_ids[1] == before[1]).all()

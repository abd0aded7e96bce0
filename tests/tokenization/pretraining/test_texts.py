"""Texts one behind the other."""

import numpy as np

from modeling_glm.tokenization.pretraining.texts import Texts, find_boundaries


def test_join_by_hand():
    texts = Texts.join([np.array([2, 10, 1]), np.array([2, 11])], boundary_ids=(2, 1))
    assert texts.ids.tolist() == [2, 10, 1, 2, 11]
    assert texts.ids.dtype == np.int64
    assert texts.offsets.tolist() == [0, 3, 5]
    assert texts.lengths.tolist() == [3, 2]
    assert texts.numbers.tolist() == [0, 0, 0, 1, 1]
    assert texts.is_boundary.tolist() == [True, False, True, True, False]


def test_without_boundary_ids_nothing_is_one():
    assert not find_boundaries(np.array([0, 1, 2]), ()).any()

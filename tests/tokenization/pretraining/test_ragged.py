"""Helpers for groups of different sizes, by hand and against plain loops."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from modeling_glm.tokenization.pretraining.ragged import count_up, count_within, starts_of, sum_before


def test_by_hand():
    assert starts_of(np.array([2, 3, 1])).tolist() == [0, 2, 5]
    assert count_up(np.array([2, 0, 3])).tolist() == [0, 1, 0, 1, 2]
    assert count_within(np.array([3, 3, 5, 5, 5])).tolist() == [0, 1, 0, 1, 2]
    assert sum_before(np.array([2, 3, 4]), np.array([1, 1, 5])).tolist() == [0, 2, 0]


@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=5), min_size=1, max_size=6))
def test_against_loops(groups):
    values = np.array([value for group in groups for value in group])
    number = np.array([k for k, group in enumerate(groups) for _ in group])
    lengths = np.array([len(group) for group in groups])
    places = [place for group in groups for place in range(len(group))]
    assert count_up(lengths).tolist() == count_within(number).tolist() == places
    assert sum_before(values, number).tolist() == [
        sum(group[:place]) for group in groups for place in range(len(group))
    ]

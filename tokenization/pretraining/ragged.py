"""Helpers for arrays that hold groups of different sizes one behind the other."""

import numpy as np


def starts_of(lengths: np.ndarray) -> np.ndarray:
    """Return where each group starts: [2 3 1] -> [0 2 5]."""
    return np.cumsum(lengths) - lengths


def count_up(lengths: np.ndarray) -> np.ndarray:
    """Count from 0 within each group, given the sizes: [2 3] -> [0 1 0 1 2]."""
    return np.arange(int(lengths.sum())) - np.repeat(starts_of(lengths), lengths)


def count_within(group: np.ndarray) -> np.ndarray:
    """Count from 0 within each group, given the sorted group of each place: [3 3 5 5 5] -> [0 1 0 1 2]."""
    return np.arange(len(group)) - np.searchsorted(group, group)


def sum_before(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Sum the earlier values of the same group: values [2 3 4], groups [1 1 5] -> [0 2 0]. Groups are sorted."""
    before = np.cumsum(values) - values
    return before - before[np.searchsorted(group, group)]

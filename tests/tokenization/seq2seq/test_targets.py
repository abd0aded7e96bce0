"""Targets of a row: one text for every blank, or several references."""

import numpy as np
import pandas as pd
import pytest

from modeling_glm.tokenization.seq2seq.targets import check_filled, read_references
from tests.support.missing import MISSING

NAME = "Target 'target'"


@pytest.mark.parametrize(
    ("value", "blanks", "one_blank", "expected"),
    [
        ("a", 1, True, [["a"]]),
        (3, 1, True, [["3"]]),
        (["a"], 1, True, [["a"]]),
        (["a", "b"], 1, True, [["a"], ["b"]]),
        ([["a"], "b"], 1, True, [["a"], ["b"]]),
        (("a", "b"), 2, False, [["a", "b"]]),
        (np.array(["a", "b"]), 2, False, [["a", "b"]]),
        (pd.Series(["a", "b"], index=[5, 3]), 2, False, [["a", "b"]]),
        ([["a", "b"], ["c", "d"]], 2, False, [["a", "b"], ["c", "d"]]),
        (np.array([["a", "b"], ["c", "d"]]), 2, False, [["a", "b"], ["c", "d"]]),
        ("a", 1, False, [["a"]]),
        (["a"], 1, False, [["a"]]),
    ],
)
def test_references(value, blanks, one_blank, expected):
    assert read_references(value, NAME, blanks, one_blank=one_blank) == expected


@pytest.mark.parametrize(
    ("value", "blanks", "one_blank", "message"),
    [
        ("a", 2, False, "has one text, but the source has 2 blanks: give a list with one text for each blank"),
        (["a", "b", "c"], 2, False, "has 3 texts, but the source has 2 blanks"),
        (["a", "b"], 1, False, "has 2 texts, but the source has one blank"),
        ([["a", "b"], ["c"]], 2, False, "has one text, but the source has 2 blanks"),
        ([["a", "b"]], 1, True, "has 2 texts, but the source has one blank"),
        ([], 1, True, "is an empty list"),
        ({"text": ["a"]}, 1, True, "is a dict"),
        (["a", None], 2, False, "Target 'target': text 1 is missing"),
    ],
)
def test_errors(value, blanks, one_blank, message):
    with pytest.raises(ValueError, match=message):
        read_references(value, NAME, blanks, one_blank=one_blank)


@pytest.mark.parametrize("missing", MISSING)
def test_missing_values(missing):
    with pytest.raises(ValueError, match="Target 'target' is missing"):
        read_references(missing, NAME, 1, one_blank=True)


@pytest.mark.parametrize(("value", "expected"), [(["a", "b"], [["a"]]), ([], [[]]), ("a", [["a"]])])
def test_other_numbers_than_blanks_where_they_are_allowed(value, expected):
    assert read_references(value, NAME, 1, one_blank=False, exact=False) == expected


def test_empty_texts():
    check_filled([["a", "b"], ["c", "d"]], NAME)
    with pytest.raises(ValueError, match=r"Target 'target' is empty \(' '\)"):
        check_filled([["a"], [" "]], NAME)
    with pytest.raises(ValueError, match=r"is empty for blank 1 \(''\)"):
        check_filled([["a", ""]], NAME)

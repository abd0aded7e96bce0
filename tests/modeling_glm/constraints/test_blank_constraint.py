"""What a constraint may say."""

import numpy as np
import pandas as pd
import pytest

from modeling_glm import BlankConstraint


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"choices": "fox"}, "expected lists of strings"),
        ({"choices": []}, "choices is empty"),
        ({"choices": np.array([])}, "choices is empty"),
        ({"choices": ["a", 1]}, "choices has 1 of type int: expected strings"),
        ({"choices": ["a", float("nan")]}, "choices has nan of type float: expected strings"),
        ({"forbidden_words": [None]}, "forbidden_words has None of type NoneType: expected strings"),
        ({"answer": 12}, "answer=12 is of type int: expected a string"),
        ({"forbidden_words": [""]}, "forbidden_words has an empty word"),
        ({"min_new_tokens": -1}, "min_new_tokens=-1: expected 0 or more"),
        ({"min_new_tokens": 5, "max_new_tokens": 3}, "max_new_tokens=3 must be at least 1, and min_new_tokens=5"),
        ({"max_new_tokens": 0}, "max_new_tokens=0 must be at least 1"),
        ({"answer": "a", "regex": "a"}, "leave the other conditions of that blank out"),
        ({"regex": "(a"}, r"regex='\(a' is not a regular expression"),
    ],
    ids=str,
)
def test_what_contradicts_itself_is_refused(settings_, message):
    with pytest.raises(ValueError, match=message):
        BlankConstraint(**settings_)


@pytest.mark.parametrize(
    "make",
    [tuple, np.array, lambda words: pd.Series(words, index=[5, 0]), iter],
    ids=["tuple", "array", "series", "iterator"],
)
def test_choices_come_in_any_sequence(make):
    assert list(BlankConstraint(choices=make(["b", "a"])).choices) == ["b", "a"]

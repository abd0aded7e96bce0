"""What a constraint may say."""

import re

import numpy as np
import pandas as pd
import pytest

from modeling_glm import BlankConstraint


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"choices": "fox"}, "choices='fox' is of type str: expected a list of strings"),
        ({"choices": b"fox"}, "choices=b'fox' is of type bytes: expected a list of strings"),
        ({"choices": {"fox": 0.5}}, "choices={'fox': 0.5} is of type dict: expected a list of strings"),
        ({"choices": np.array("fox")}, "expected a list of strings"),
        ({"choices": 7}, "choices=7 is of type int: expected a list of strings"),
        ({"choices": [b"fox"]}, "choices has b'fox' of type bytes: expected strings"),
        ({"forbidden_words": "fox"}, "forbidden_words='fox' is of type str: expected a list of strings"),
        ({"choices": []}, "choices is empty"),
        ({"choices": np.array([])}, "choices is empty"),
        ({"choices": ["a", 1]}, "choices has 1 of type int: expected strings"),
        ({"choices": ["a", float("nan")]}, "choices has nan of type float: expected strings"),
        ({"forbidden_words": [None]}, "forbidden_words has None of type NoneType: expected strings"),
        ({"answer": 12}, "answer=12 is of type int: expected a string"),
        ({"forbidden_words": [""]}, "forbidden_words has an empty word"),
        ({"min_new_tokens": -1}, "min_new_tokens=-1: expected at least 0"),
        ({"min_new_tokens": None}, "min_new_tokens=None is of type NoneType: expected a whole number"),
        ({"min_new_tokens": 1.5}, "min_new_tokens=1.5 is of type float: expected a whole number"),
        ({"min_new_tokens": True}, "min_new_tokens=True is of type bool: expected a whole number"),
        ({"max_new_tokens": "3"}, "max_new_tokens='3' is of type str: expected a whole number"),
        ({"max_new_tokens": float("nan")}, "max_new_tokens=nan is of type float: expected a whole number"),
        ({"min_new_tokens": 5, "max_new_tokens": 3}, "max_new_tokens=3 is below min_new_tokens=5: raise it"),
        ({"max_new_tokens": 0}, "max_new_tokens=0: expected at least 1"),
        ({"answer": "a", "regex": "a"}, "leave the other conditions of that blank out"),
        ({"regex": 12}, "regex=12 is of type int: expected a string"),
        ({"regex": b"a"}, "is of type bytes: expected a string"),
        ({"regex": re.compile("a")}, "is of type Pattern: expected a string"),
        ({"regex": "\ud800"}, "lone surrogate"),
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
    assert BlankConstraint(choices=make(["b", "a"])).choices == ("b", "a")


@pytest.mark.parametrize("make", [set, frozenset])
def test_a_set_of_choices_is_always_read_in_the_same_order(make):
    words = [f"word {number}" for number in range(50)]
    assert BlankConstraint(choices=make(words)).choices == tuple(sorted(words))


@pytest.mark.parametrize("given", [{"choices": [" hot", "very  cold"]}, {"answer": " hot"}], ids=str)
def test_words_are_accepted_however_they_are_spaced(given):
    constraint = BlankConstraint(**given)
    assert all(constraint.accepts(answer) for answer in ("hot", " hot", "hot "))
    assert not any(constraint.accepts(answer) for answer in ("", "hotter", "h ot", "very cold"))


def test_no_forbidden_words():
    assert BlankConstraint(forbidden_words=None) == BlankConstraint()

"""Numbers of callers: every kind that is accepted, and words for all that is not."""

import math
import re
import sys

import numpy as np
import pytest
import torch

from modeling_glm.utils.numbers import (
    check_batch_size,
    check_real_number,
    check_temperature,
    check_truth_value,
    check_whole_number,
    shorten,
)

NO_NUMBERS = [None, "3", b"3", [3], (3,), {3}, 3j, np.array([3]), torch.tensor([3]), object]


@pytest.mark.parametrize("value", [3, np.int8(3), np.uint64(3), np.array(3), torch.tensor(3)], ids=repr)
def test_a_whole_number_of_any_library(value):
    checked = check_whole_number("n", value, least=1)
    assert (checked, type(checked)) == (3, int)
    assert check_real_number("n", value, above=0) == 3.0


@pytest.mark.parametrize("value", [*NO_NUMBERS, True, np.True_, torch.tensor(True), 3.0, 1.5, math.nan], ids=repr)
def test_what_is_no_whole_number(value):
    with pytest.raises(ValueError, match=r"^n=.* is of type \w+: expected a whole number, at least 1\.$"):
        check_whole_number("n", value, least=1)


@pytest.mark.parametrize(
    ("limits", "value", "message"),
    [
        ({}, -1, "n=-1: expected at least 0."),
        ({"least": 1}, 0, "n=0: expected at least 1."),
        ({"least": 1, "most": 9}, 10, "n=10: expected 1 to 9."),
        ({"most": 9, "because": ", for a reason"}, 10**6, "n=1000000: expected 0 to 9, for a reason."),
        ({"most": 9}, 10**5000, "n=a number of 16610 bits: expected 0 to 9."),
    ],
    ids=lambda value: str(value) if not isinstance(value, int) else "",
)
def test_a_whole_number_out_of_range(limits, value, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_whole_number("n", value, **limits)


@pytest.mark.parametrize("value", [0.5, np.float16(0.5), np.float64(0.5), np.array(0.5), torch.tensor(0.5)], ids=repr)
def test_a_real_number_of_any_library(value):
    checked = check_real_number("x", value)
    assert (checked, type(checked)) == (0.5, float)


@pytest.mark.parametrize("value", [*NO_NUMBERS, True, np.False_, torch.tensor(False), np.complex64(1)], ids=repr)
def test_what_is_no_real_number(value):
    with pytest.raises(ValueError, match=r"^x=.* is of type \w+: expected a finite number\.$"):
        check_real_number("x", value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32("nan"), torch.tensor(math.inf)], ids=repr)
def test_a_real_number_is_finite(value):
    with pytest.raises(ValueError, match=r"^x=.*: expected a finite number"):
        check_real_number("x", value)


@pytest.mark.parametrize(
    ("limits", "value", "message"),
    [
        ({"above": 0}, 0, "x=0: expected a number above 0."),
        ({"above": 0, "most": 1.0}, 2, "x=2: expected a number above 0 and at most 1."),
        ({"least": 0.0, "most": 1.0}, math.nan, "x=nan: expected a number from 0 to 1."),
        ({"least": 0.0}, -1e-9, "x=-1e-09: expected at least 0."),
        ({"above": 0}, 10**400, "expected a number above 0."),
    ],
)
def test_a_real_number_out_of_range(limits, value, message):
    with pytest.raises(ValueError, match=f"{re.escape(message)}$"):
        check_real_number("x", value, **limits)


def test_infinity_where_it_has_a_meaning():
    assert check_real_number("max_time", math.inf, above=0, most=math.inf) == math.inf
    with pytest.raises(ValueError, match=r"max_time=nan: expected a number above 0"):
        check_real_number("max_time", math.nan, above=0, most=math.inf)


@pytest.mark.parametrize("value", [0, -1, 1e-310, 1e-9, 1e9, 1e308, math.inf, math.nan])
def test_a_temperature_leaves_scores_in_float32(value):
    with pytest.raises(ValueError, match=r"temperature=.*: expected a number from 1.*, because scores are float32"):
        check_temperature("temperature", value)


@pytest.mark.parametrize("value", [torch.finfo(torch.float32).eps, 0.01, 1, 100, 2**23], ids=repr)
def test_every_accepted_temperature_keeps_masked_scores_masked(value):
    scores = torch.tensor([3e4, -3e4, -torch.inf]) / check_temperature("temperature", value)
    assert scores[:2].isfinite().all()
    assert scores[2] == -torch.inf


def test_a_batch_may_be_larger_than_any_list():
    assert check_batch_size("batch_size", 10**30) == sys.maxsize
    with pytest.raises(ValueError, match="batch_size=0: expected at least 1"):
        check_batch_size("batch_size", 0)


@pytest.mark.parametrize("value", [True, 1, np.True_, np.int64(1), torch.tensor(True)], ids=repr)
def test_a_setting_that_is_on(value):
    assert check_truth_value("truncation", value) is True


@pytest.mark.parametrize("value", [None, "no", "", 2, 1.0, math.nan, [], [0]], ids=repr)
def test_what_is_neither_on_nor_off(value):
    with pytest.raises(ValueError, match=r"truncation=.* is of type .*: expected True or False"):
        check_truth_value("truncation", value)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a" * 5, "'aaaaa'"),
        ("a" * 50, "'aaaaaaaaaa'..."),
        (b"a" * 50, "b'aaaaaaaaaa'..."),
        (list(range(10**6)), "[0, 1, 2, ..."),
        (10**20, "1000000000..."),
    ],
    ids=["short", "text", "bytes", "list", "number"],
)
def test_long_values_are_cut_in_messages(value, shown):
    assert shorten(value, 10) == shown

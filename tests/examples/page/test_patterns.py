"""Patterns that take too long are found out in time."""

import time

import pytest

from examples.page.patterns import MOST_WAITING, takes_too_long
from modeling_glm.tokenization.token_bytes import token_bytes

pytest.importorskip("outlines_core")


@pytest.mark.parametrize(
    "pattern", ["[0-9]{4}", "(19|20)[0-9]{2}", "[a-z]{100}", r"\w+", ".*", "no answer \x00", "[0-9"]
)
def test_patterns_that_can_be_prepared(tokenizer, pattern):
    """Wrong ones are told apart later, with a message of their own."""
    assert not takes_too_long(pattern, token_bytes(tokenizer))


@pytest.mark.parametrize("pattern", [".{40}", "(.{10}){10}"])
def test_patterns_that_take_too_long(tokenizer, pattern):
    start = time.monotonic()
    assert takes_too_long(pattern, token_bytes(tokenizer))
    assert time.monotonic() - start < MOST_WAITING + 10

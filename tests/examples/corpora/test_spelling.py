"""Numbers in words."""

import pytest

from examples.corpora.families.numbers.roman_numerals import roman
from examples.corpora.spelling import cardinal, counted, ordinal, ordinal_digits


@pytest.mark.parametrize(
    ("number", "words", "rank", "short"),
    [
        (3, "three", "third", "3rd"),
        (12, "twelve", "twelfth", "12th"),
        (21, "twenty-one", "twenty-first", "21st"),
        (40, "forty", "fortieth", "40th"),
        (100, "one hundred", "one hundredth", "100th"),
        (111, "one hundred and eleven", "one hundred and eleventh", "111th"),
        (347, "three hundred and forty-seven", "three hundred and forty-seventh", "347th"),
        (2005, "two thousand and five", "two thousand and fifth", "2005th"),
        (99_202, "ninety-nine thousand two hundred and two", "ninety-nine thousand two hundred and second", "99202nd"),
    ],
)
def test_numbers_are_spelled(number: int, words: str, rank: str, short: str):
    assert cardinal(number) == words
    assert ordinal(number) == rank
    assert ordinal_digits(number) == short


def test_cardinals_differ():
    assert len({cardinal(number) for number in range(20_000)}) == 20_000


@pytest.mark.parametrize(("number", "numeral"), [(14, "XIV"), (1987, "MCMLXXXVII"), (3999, "MMMCMXCIX")])
def test_roman(number: int, numeral: str):
    assert roman(number) == numeral


def test_counted():
    assert [counted(1, "word"), counted(2, "word")] == ["one word", "two words"]

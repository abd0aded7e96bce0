"""Words and their F1 as in the script of SQuAD, worked by hand."""

import pytest

from modeling_glm.utils.squad_words import squad_words, word_f1


def test_words():
    assert squad_words("The  Anton's, a 3,000-tulip\nfan!") == ["antons", "3000tulip", "fan"]
    assert squad_words("an the A.") == []


@pytest.mark.parametrize(
    ("words", "answer", "expected"),
    [("a b", "a b", 1), ("a a b", "a b b", 2 / 3), ("a", "a b c", 1 / 2), ("a", "b", 0), ("", "a", 0), ("", "", 0)],
)
def test_f1(words, answer, expected):
    assert word_f1(words.split(), answer.split()) == pytest.approx(expected)

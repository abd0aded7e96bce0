"""Answers of the told length: words as baselines count them, and the likeliest ones of that form."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.corpora.measuring.told_length import answer_with_length, words_pattern
from tests.support.models import make_text_model

TEXTS = ["The quick [MASK] fox.", "Paris is [MASK], and Rome too.", '"[MASK] dog', "In [MASK] the number 404."] * 3
WORDS = [1, 2, 3, 1, 3, 1, 2, 2, 2, 3, 1, 3]


@pytest.fixture(scope="module")
def model(tokenizer):
    return make_text_model(tokenizer)


@pytest.mark.parametrize("beams", [1, 3])
def test_answers_have_the_told_length(model, tokenizer, beams):
    answers = answer_with_length(model, tokenizer, TEXTS, WORDS, num_beams=beams)
    assert [len(answer.split()) for answer in answers] == WORDS
    assert all(re.fullmatch(words_pattern(count), answer) for count, answer in zip(WORDS, answers, strict=True))
    alone = [
        answer_with_length(model, tokenizer, [text], [count], num_beams=beams)[0]
        for text, count in zip(TEXTS[:4], WORDS[:4], strict=True)
    ]
    assert answers[:4] == alone


@given(st.lists(st.text(alphabet="ab1-'.,(", min_size=1, max_size=5), min_size=1, max_size=4))
def test_the_pattern_accepts_what_the_blanks_hide(words):
    """Blanks leave quotes and brackets before a word, and punctuation behind it, in the text."""
    hidden = all(word == word.lstrip("(\"'").rstrip(".,:;!?)\"'") for word in words)
    for count in (1, 2, 3, 4):
        assert bool(re.fullmatch(words_pattern(count), " ".join(words))) == (hidden and count == len(words))


def test_wrong_lengths_are_refused(model, tokenizer):
    with pytest.raises(ValueError, match="1 texts and 2 lengths"):
        answer_with_length(model, tokenizer, TEXTS[:1], [1, 2])
    with pytest.raises(ValueError, match=r"words\[1\]=0: expected at least 1"):
        answer_with_length(model, tokenizer, TEXTS[:2], [1, 0])
    with pytest.raises(ValueError, match="blank"):
        answer_with_length(model, tokenizer, ["no blank here"], [1])

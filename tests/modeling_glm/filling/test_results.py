"""Answers and fillings as values, and white space at blanks."""

import pytest

from modeling_glm import BlankAnswer, Filling
from modeling_glm.filling.results import ScoredPiece, build_filling, check_blanks, encode_answers, with_space


def test_scores_are_sums_and_means():
    first = BlankAnswer(text="a", start=0, end=1, token_ids=(1,), token_log_probs=(-1.0, -0.5))
    given = BlankAnswer(text="b", start=2, end=3, given=True)
    second = BlankAnswer(text="c", start=4, end=5, token_ids=(1, 2), token_log_probs=(-2.0, -1.0, -0.5))
    filling = Filling(text="a b c", answers=(first, given, second))
    assert (first.log_prob, first.score) == (-1.5, -0.75)
    assert (given.log_prob, given.score) == (0, 0)
    assert (filling.log_prob, filling.score, filling.num_scores) == (-5.0, -1.0, 5)
    assert Filling(text="b", answers=(given,)).score == 0


@pytest.mark.parametrize(
    ("before", "answer", "expected"),
    [("A ", "fox", " fox"), ("A", "fox", "fox"), ("A ", " fox", " fox"), ("A ", "", ""), ("A\n", "fox", " fox")],
)
def test_a_space_before_the_blank_belongs_to_the_answer(before, answer, expected):
    assert with_space(before, answer) == expected


def test_answers_are_encoded_as_they_stand_in_the_text(tokenizer):
    text = "The [MASK] fox ([MASK])."
    word, bare = (tokenizer(word, add_special_tokens=False)["input_ids"] for word in (" lazy", "lazy"))
    assert encode_answers(tokenizer, text, ["lazy", "lazy"]) == [word, bare]
    assert encode_answers(tokenizer, text, ["lazy", " lazy"], blank=1) == [bare, word]
    # A mask in an answer is text, not a blank.
    (spelled,) = encode_answers(tokenizer, "[MASK]", ["[MASK]"])
    assert tokenizer.mask_token_id not in spelled


def test_a_filling_tells_places_and_scores(tokenizer):
    piece = ScoredPiece((7, 8), (-1.0, -2.0, -0.5))
    filling = build_filling(tokenizer, "The [MASK] fox [MASK].", ["lazy", "runs"], {1: piece})
    assert filling.text == "The lazy fox runs."
    first, second = filling.answers
    assert (first.text, first.start, first.end, first.given) == ("lazy", 4, 8, True)
    assert (second.start, second.end, second.given) == (13, 17, False)
    assert (second.token_ids, second.token_log_probs) == ((7, 8), (-1.0, -2.0, -0.5))
    assert filling.log_prob == piece.log_prob == -3.5


def test_texts_without_blanks_are_refused(tokenizer):
    assert check_blanks(tokenizer, ["[MASK] [gMASK]", "a [sMASK]"]) == [2, 1]
    with pytest.raises(ValueError, match=r"Text 1 has no blank to fill: put one of \[MASK\]"):
        check_blanks(tokenizer, ["[MASK]", "none"])

"""Answers and fillings as values."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modeling_glm import BlankAnswer, Filling
from modeling_glm.filling.results import ScoredPiece, build_filling, count_blanks, encode_context
from modeling_glm.tokenization import BlankText
from modeling_glm.tokenization.blanks import decode_piece
from tests.support.models import tiny_config


def test_scores_are_sums_and_means():
    first = BlankAnswer(text=BlankText("a"), start=0, end=1, token_ids=(1,), token_log_probs=(-1.0, -0.5))
    given = BlankAnswer(text=BlankText("b"), start=2, end=3, given=True)
    second = BlankAnswer(text=BlankText("c"), start=4, end=5, token_ids=(1, 2), token_log_probs=(-2.0, -1.0, -0.5))
    filling = Filling(text="a b c", answers=(first, given, second))
    assert (first.log_prob, first.mean_log_prob) == (-1.5, -0.75)
    assert (given.log_prob, given.mean_log_prob, given.probability) == (0, 0, 1)
    assert (filling.log_prob, filling.mean_log_prob, filling.num_scores) == (-5.0, -1.0, 5)
    assert Filling(text="b", answers=(given,)).mean_log_prob == 0
    for found in (first, given, filling):
        assert found.score == found.probability == math.exp(found.log_prob)


def test_a_filling_tells_places_and_scores(tokenizer):
    piece = ScoredPiece((7, 8), (-1.0, -2.0, -0.5))
    filling = build_filling(tokenizer, "The [MASK] fox[MASK].", ["lazy", BlankText("runs", " ")], {1: piece})
    assert filling.text == "The lazy fox runs."
    first, second = filling.answers
    assert (first.text, first.start, first.end, first.given) == ("lazy", 4, 8, True)
    assert (second.start, second.end, second.given) == (13, 17, False)
    assert (second.token_ids, second.token_log_probs) == ((7, 8), (-1.0, -2.0, -0.5))
    assert filling.log_prob == piece.log_prob == -3.5


@pytest.mark.parametrize(
    ("text", "answer", "before", "after"),
    [
        ("The [MASK] fox", "lazy", " ", ""),
        ("The[MASK] fox", "lazy", "", ""),
        ("The[MASK] fox", "\nlazy ", "\n", " "),
        ("The [MASK] fox", "", "", ""),
        ("The [MASK] fox", "  ", "  ", ""),
    ],
)
def test_a_given_answer_can_be_given_again(tokenizer, text, answer, before, after):
    """It knows the white space around it, so the same text comes out whatever white space the next text has."""
    filling = build_filling(tokenizer, text, [answer], {})
    (found,) = filling.answers
    assert (found.text, found.text.before, found.text.after) == (answer.strip(), before, after)
    for other in ("The [MASK] fox", "The[MASK] fox"):
        assert tokenizer.fill(other, [found.text]) == filling.text


def test_texts_without_blanks_or_room_are_refused(tokenizer):
    assert [count_blanks(tokenizer, text) for text in ("[MASK] [gMASK]", "a [sMASK]")] == [2, 1]
    with pytest.raises(ValueError, match=r"The text has no blank to fill: put one of \[MASK\], \[sMASK\], \[gMASK\]"):
        count_blanks(tokenizer, "none")


def test_a_text_that_is_too_long_is_refused_or_cut(tokenizer):
    config = tiny_config()  # its table holds 49 tokens
    text = "the " * 45 + "[MASK]" + " the" * 2
    assert encode_context(tokenizer, config, text[4:], True) == encode_context(tokenizer, config, text[4:])
    with pytest.raises(
        ValueError, match=r"The text has 50 tokens, but the position table holds 49: .*truncation=True"
    ):
        encode_context(tokenizer, config, text)
    cut = encode_context(tokenizer, config, text, truncation=True)
    assert cut == tokenizer(text, truncation=True, max_length=49).input_ids
    assert cut == [cut[0], *tokenizer(text).input_ids[2:]]
    with pytest.raises(ValueError, match="The text has 48 blanks, but cutting it leaves room for 47 tokens"):
        encode_context(tokenizer, config, "[MASK]" * 48, truncation=True)


def test_masks_that_the_vocabulary_lacks_are_not_suggested(of_family):
    with pytest.raises(ValueError, match=r"put one of \[MASK\] where text is wanted"):
        count_blanks(of_family("bert"), "none")


SPACES = st.sampled_from(["", " ", "  ", "\t", "\n", "\u00a0", "\u3000", "\x1c", "\x1c ", " \x1d "])
GIVEN = st.tuples(SPACES, st.sampled_from(["", "x", "six seven", "é"]), SPACES).map("".join)
PIECES = st.lists(st.sampled_from([" ", "  ", "\n", "six", " dog", "é", ".", "\x1c"]), max_size=4).map("".join)


@pytest.mark.parametrize("family", ["own", "gpt2", "bert", "chinese"])
@settings(max_examples=60)
@given(
    before=st.lists(st.tuples(st.sampled_from(["", "a", "The x", "é."]), SPACES).map("".join), min_size=1, max_size=3),
    after=st.tuples(SPACES, st.sampled_from(["", " b", "."])).map("".join),
    data=st.data(),
)
def test_offsets_are_those_of_answers_without_white_space(of_family, family, before, after, data):
    """Given answers and written ones, with white space of all kinds on both sides. What was found fills the text again."""
    tokenizer = of_family(family)
    text = "".join(f"{part}[MASK]" for part in before) + after
    answers, pieces = [], {}
    for blank in range(len(before)):
        if data.draw(st.booleans()):
            ids = tokenizer(data.draw(PIECES), add_special_tokens=False)["input_ids"]
            pieces[blank] = ScoredPiece(tuple(ids), ())
            answers.append(decode_piece(tokenizer, ids))
        else:
            answers.append(data.draw(GIVEN))
    filling = build_filling(tokenizer, text, answers, pieces)
    for answer in filling.answers:
        assert filling.text[answer.start : answer.end] == answer.text == answer.text.strip()
    assert tokenizer.fill(text, [answer.text for answer in filling.answers]) == filling.text

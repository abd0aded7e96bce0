"""Texts with several blanks."""

import pytest

from benchmarks.studies.ablation.blanks import BlankedText, as_blanked, make_several_blanks
from examples.corpora.documents import Document
from examples.corpora.measuring.blanks import MASK, HeldOutBlank

LONG = Document(
    family="made up",
    key="a",
    text='A harbour is a place for ships. "Haven" means harbour, too; its opposite (for a ship) is the open sea.',
)
SHORT = Document(family="made up", key="b", text="A ship is a vessel.")


def test_answers_give_the_text_back():
    for blanked in make_several_blanks([LONG, SHORT], count=40, seed=0):
        text = blanked.text
        for answer in blanked.answers:
            text = text.replace(MASK, answer, 1)
        assert text == LONG.text
        assert 2 <= len(blanked.answers) == blanked.text.count(MASK) <= 4
        assert all(1 <= len(answer.split()) <= 3 for answer in blanked.answers)


def test_a_word_stands_between_two_blanks():
    between = [
        part for blanked in make_several_blanks([LONG], count=40, seed=1) for part in blanked.text.split(MASK)[1:-1]
    ]
    assert all(any(character.isalnum() for character in part) for part in between)


def test_longer_texts_get_more_blanks():
    long = Document(family="made up", key="c", text=" ".join([LONG.text] * 3))
    counts = [{len(b.answers) for b in make_several_blanks([document], count=60, seed=2)} for document in (LONG, long)]
    assert counts == [{2, 3}, {2, 3, 4}]


def test_the_seed_decides():
    first, again, other = (make_several_blanks([LONG], count=5, seed=seed) for seed in (3, 3, 4))
    assert first == again != other


def test_short_texts_alone_are_refused():
    with pytest.raises(ValueError, match="No held-out document has 12 words, which 2 blanks need"):
        make_several_blanks([SHORT], count=1, seed=0)


def test_targets_begin_with_the_space_before_them():
    blanked = BlankedText(text="[MASK] is a ([MASK]) of [MASK].", answers=("A ship", "big", "kind"))
    assert blanked.targets == ["A ship", "big", " kind"]
    one = as_blanked(HeldOutBlank(family="made up", text="A ship is a [MASK].", answer="vessel"))
    assert one == BlankedText(text="A ship is a [MASK].", answers=("vessel",))
    assert one.targets == [" vessel"]

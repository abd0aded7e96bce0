"""Blanks in held-out texts."""

from examples.corpora import Document
from examples.corpora.measuring.blanks import MASK, MAX_WORDS, HeldOutBlank, exact_match, make_blanks


def test_filled_blanks_restore_the_text(held_out: list[Document]):
    blanks = make_blanks(held_out, count=2000, seed=1)
    assert blanks == make_blanks(held_out, count=2000, seed=1)
    assert blanks != make_blanks(held_out, count=2000, seed=2)
    texts = {(document.family, document.text) for document in held_out}
    for blank in blanks:
        assert blank.text.count(MASK) == 1
        assert (blank.family, blank.text.replace(MASK, blank.answer)) in texts
        assert 1 <= blank.words <= MAX_WORDS
        assert blank.answer == " ".join(blank.answer.split())
        assert blank.answer[-1] not in ".,:;!?"


def test_exact_match():
    blanks = [HeldOutBlank(family="toy", text="[MASK].", answer=answer) for answer in ("a", "b")]
    assert exact_match(["a", "c"], blanks) == 0.5


def test_other_answers_are_right_as_well():
    blank = HeldOutBlank(family="toy", text="A beagle is a kind of [MASK].", answer="hound", others=("dog",))
    assert [blank.is_right(answer) for answer in ("hound", "dog", "cat", "")] == [True, True, False, False]

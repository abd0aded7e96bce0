"""Questions with several right answers."""

from examples.corpora.questions import FactQuestion, exact_match

QUESTION = FactQuestion(family="kinds", text="A beagle is a kind of [MASK].", answers=("dog", "Hound"))


def test_every_answer_is_right_in_any_case():
    assert [QUESTION.is_right(answer) for answer in ("dog", " hound", "Dog ", "dogs", "")] == [True] * 3 + [False] * 2


def test_exact_match_is_a_share():
    assert exact_match([QUESTION] * 4, ["dog", "cat", "hound", "a dog"]) == 0.5

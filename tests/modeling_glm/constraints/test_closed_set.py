"""Closed sets of answers."""

import torch

from modeling_glm.constraints.closed_set import ChoiceAutomaton


def allowed_ids(mask: torch.Tensor) -> set[int]:
    return set(mask.nonzero().flatten().tolist())


def test_choices_are_followed_token_by_token():
    automaton = ChoiceAutomaton([[4, 5], [4, 6, 7], [4]], 10)
    assert allowed_ids(automaton.allowed((), 9)) == {4}
    assert allowed_ids(automaton.allowed((4,), 9)) == {5, 6}
    assert allowed_ids(automaton.allowed((4, 6), 9)) == {7}
    assert allowed_ids(automaton.allowed((5,), 9)) == set()
    assert [automaton.may_end(prefix) for prefix in ((), (4,), (4, 5), (4, 6), (4, 6, 7))] == [0, 1, 1, 0, 1]

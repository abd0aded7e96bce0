"""Automata over the tokens of an answer: which tokens may follow, and where the answer may end."""

import torch

from modeling_glm.filling.automata import (
    Automata,
    ChoiceAutomaton,
    ForbiddenWordsAutomaton,
    LengthAutomaton,
    RegexAutomaton,
)
from modeling_glm.tokenization.token_bytes import token_bytes


def allowed_ids(mask: torch.Tensor) -> set[int]:
    return set(mask.nonzero().flatten().tolist())


def test_choices_are_followed_token_by_token():
    automaton = ChoiceAutomaton([[4, 5], [4, 6, 7], [4]], 10)
    assert allowed_ids(automaton.allowed((), 9)) == {4}
    assert allowed_ids(automaton.allowed((4,), 9)) == {5, 6}
    assert allowed_ids(automaton.allowed((4, 6), 9)) == {7}
    assert allowed_ids(automaton.allowed((5,), 9)) == set()
    assert [automaton.may_end(prefix) for prefix in ((), (4,), (4, 5), (4, 6), (4, 6, 7))] == [0, 1, 1, 0, 1]


def test_answers_of_a_length_have_no_special_tokens(tokenizer):
    """Rows of the embedding behind the vocabulary are not tokens either."""
    automaton = LengthAutomaton(tokenizer, len(tokenizer) + 3, 2)
    expected = set(range(len(tokenizer))) - set(tokenizer.all_special_ids)
    assert allowed_ids(automaton.allowed((), 9)) == expected
    assert [automaton.may_end(prefix) for prefix in ((), (9,), (9, 9), (9, 9, 9))] == [False, False, True, True]


def test_automata_are_made_once(tokenizer):
    automata = Automata(tokenizer, len(tokenizer))
    assert automata.regex("[0-9]+") is automata.regex("[0-9]+")
    assert automata.regex("[0-9]+") is not automata.regex("[a-z]+")
    assert automata.without(("a", "b")) is automata.without(("a", "b"))


def test_words_are_forbidden_however_they_are_cut(tokenizer):
    """And only where they stand by themselves."""
    rule = ForbiddenWordsAutomaton(tokenizer, ["the"], len(tokenizer))
    token = {text.decode(): token_id for token_id, text in token_bytes(tokenizer).items() if text.isascii()}
    letters = tuple(token[letter] for letter in " the")
    for step, token_id in enumerate(letters):
        assert rule.allowed(letters[:step], 9)[token_id]  # it may go on: "then" is another word
        assert rule.may_end(letters[:step])
    assert not rule.may_end(letters)
    allowed = rule.allowed(letters, 9)
    assert not allowed[token[" "]]
    assert allowed[token["n"]]
    assert rule.may_end((*letters, token["n"]))
    assert not rule.may_end(tuple(token[letter] for letter in "The"))
    assert rule.may_end((token["a"], *letters[1:]))  # "athe"


def test_an_expression_leaves_room_for_its_end(tokenizer):
    """Near the limit only what can still become a match may follow."""
    rule = RegexAutomaton(tokenizer, "(?:zz)*q", len(tokenizer))
    token = {text.decode(): token_id for token_id, text in token_bytes(tokenizer).items() if text.isascii()}
    assert rule.allowed((), 3)[token["z"]]
    assert not rule.allowed((), 2)[token["z"]]
    assert rule.allowed((), 1)[token["q"]]
    assert rule.may_end((token["q"],))
    assert not rule.allowed((token["q"],), 9).any()
    assert rule.shortest() == 1

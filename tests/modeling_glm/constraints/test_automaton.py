"""The length of answers."""

from modeling_glm.constraints.automaton import LengthAutomaton


def test_answers_of_a_length_have_no_special_tokens(tokenizer):
    """Rows of the embedding behind the vocabulary are not tokens either."""
    automaton = LengthAutomaton(tokenizer, len(tokenizer) + 3, 2)
    expected = set(range(len(tokenizer))) - set(tokenizer.all_special_ids)
    assert set(automaton.allowed((), 9).nonzero().flatten().tolist()) == expected
    assert [automaton.may_end(prefix) for prefix in ((), (9,), (9, 9), (9, 9, 9))] == [False, False, True, True]

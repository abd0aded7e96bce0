"""The length of answers."""

import copy

from tokenizers import AddedToken

from modeling_glm.constraints.automaton import LengthAutomaton


def test_answers_of_a_length_have_no_special_tokens(tokenizer):
    """Rows of the embedding behind the vocabulary are not tokens either."""
    automaton = LengthAutomaton(tokenizer, len(tokenizer) + 3, 2)
    expected = set(range(len(tokenizer))) - set(tokenizer.all_special_ids)
    assert set(automaton.allowed((), 9).nonzero().flatten().tolist()) == expected
    with_prompts = copy.deepcopy(tokenizer)  # as P-tuning and a user add tokens
    with_prompts.add_tokens([AddedToken("<|soft0|>", special=True)], special_tokens=True)
    with_prompts.add_special_tokens({"extra_special_tokens": ["<x>"]})
    for size in (len(tokenizer), len(with_prompts)):
        allowed = LengthAutomaton(with_prompts, size, 2).allowed((), 9)
        assert set(allowed.nonzero().flatten().tolist()) == expected
    assert [automaton.may_end(prefix) for prefix in ((), (9,), (9, 9), (9, 9, 9))] == [False, False, True, True]

"""The automata of a vocabulary."""

from modeling_glm import BlankConstraint
from modeling_glm.constraints.factory import Automata
from modeling_glm.tokenization import BlankText


def test_automata_are_made_once(tokenizer):
    automata = Automata(tokenizer, len(tokenizer))
    assert automata.regex("[0-9]+") is automata.regex("[0-9]+")
    assert automata.regex("[0-9]+") is not automata.regex("[a-z]+")
    assert automata.without(("a", "b")) is automata.without(("a", "b"))


def test_closed_sets_are_made_once_for_each_value(tokenizer):
    automata = Automata(tokenizer, len(tokenizer))
    first = automata.closed_set(BlankConstraint(choices=["fox", "dog"]), 9)
    assert automata.closed_set(BlankConstraint(choices=["fox", "dog"]), 8) is not first
    assert automata.closed_set(BlankConstraint(choices=["fox"]), 9) is not first
    assert automata.closed_set(BlankConstraint(choices=("fox", "dog")), 9) is first
    assert automata.closed_set(BlankConstraint(choices=["fox", "dog"], min_new_tokens=1), 9) is not first


def test_a_choice_with_tokens_of_its_own_is_another_one(tokenizer):
    automata = Automata(tokenizer, len(tokenizer))
    spelled = tuple(tokenizer(letter, add_special_tokens=False)["input_ids"][0] for letter in "fox")
    plain = automata.closed_set(BlankConstraint(choices=["fox"]), 9)
    own = automata.closed_set(BlankConstraint(choices=[BlankText("fox", "", "", spelled)]), 9)
    assert own.find(spelled) == "fox"
    assert own.forms != plain.forms

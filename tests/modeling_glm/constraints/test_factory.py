"""The automata of a vocabulary."""

from modeling_glm.constraints.factory import Automata


def test_automata_are_made_once(tokenizer):
    automata = Automata(tokenizer, len(tokenizer))
    assert automata.regex("[0-9]+") is automata.regex("[0-9]+")
    assert automata.regex("[0-9]+") is not automata.regex("[a-z]+")
    assert automata.without(("a", "b")) is automata.without(("a", "b"))

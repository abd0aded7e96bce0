"""Closed sets of answers: small ones against a naive search, and large ones in time."""

import random
import time

import pytest
import torch

from modeling_glm import BlankConstraint, fill_blanks
from modeling_glm.constraints import closed_set
from modeling_glm.constraints.closed_set import ChoiceAutomaton, ClosedSet
from modeling_glm.constraints.factory import Automata
from modeling_glm.constraints.rules import BlankRules
from modeling_glm.tokenization import BlankText
from modeling_glm.tokenization.blanks import answer_forms

SHARING = ["six", "six hundred", "six hundred and six", "sixty", "sixty-six", "hundred", "s", "dog"]


def allowed_ids(mask: torch.Tensor) -> set[int]:
    return set(mask.nonzero().flatten().tolist())


def test_choices_are_followed_token_by_token():
    automaton = ChoiceAutomaton([[4, 5], [4, 6, 7], [4]], 10)
    assert allowed_ids(automaton.allowed((), 9)) == {4}
    assert allowed_ids(automaton.allowed((4,), 9)) == {5, 6}
    assert allowed_ids(automaton.allowed((4, 6), 9)) == {7}
    assert allowed_ids(automaton.allowed((5,), 9)) == set()
    assert [automaton.may_end(prefix) for prefix in ((), (4,), (4, 5), (4, 6), (4, 6, 7))] == [0, 1, 1, 0, 1]


@pytest.mark.parametrize("seed", range(20))
def test_any_choices_are_followed_as_a_naive_search_does(seed):
    """Few tokens, so that choices share prefixes, are prefixes of each other, come twice and are empty."""
    drawn = random.Random(seed)
    choices = [tuple(drawn.choices(range(3), k=drawn.randint(0, 4))) for _ in range(drawn.randint(1, 12))]
    automaton = ChoiceAutomaton(choices, 4)
    for _ in range(60):
        prefix = tuple(drawn.choices(range(4), k=drawn.randint(0, 5)))
        following = {c[len(prefix)] for c in choices if c[: len(prefix)] == prefix and len(c) > len(prefix)}
        assert allowed_ids(automaton.allowed(prefix, 9)) == following
        assert automaton.may_end(prefix) == (prefix in choices)


def test_every_form_is_found_as_the_caller_wrote_it(tokenizer):
    choices = [*SHARING, " six", "dog ", "dog", "  dog", BlankText("Dog", " ")]
    found = ClosedSet(tokenizer, len(tokenizer), BlankConstraint(choices=choices), 60)
    assert list(found.forms) == [*SHARING, "Dog"]
    for choice in choices:
        for form in answer_forms(tokenizer, choice):
            assert found.find(form) == choice.strip()
            assert found.automaton.may_end(form)
    assert found.longest == max(len(form) for forms in found.forms.values() for form in forms)
    assert found.find([1, 2, 3]) is None


def test_choices_of_other_lengths_or_other_words_are_left_out(tokenizer):
    asked = BlankConstraint(choices=SHARING, forbidden_words=["hundred"], min_new_tokens=2)
    forms = ClosedSet(tokenizer, len(tokenizer), asked, 4).forms
    assert forms
    assert not any("hundred" in choice for choice in forms)
    assert {len(form) for of_choice in forms.values() for form in of_choice} <= {2, 3, 4}


@pytest.mark.parametrize("limits", [{"min_new_tokens": 10**9}, {"min_new_tokens": 61}, {"forbidden_words": ["fox"]}])
def test_choices_that_nothing_fits_are_refused_in_a_short_sentence(limits, tokenizer):
    asked = BlankConstraint(choices=["fox"] * 10_000, **limits)
    with pytest.raises(ValueError, match=r"None of the choices \['fox', 'fox',.*\.\.\. has .* to 60 tokens") as error:
        ClosedSet(tokenizer, len(tokenizer), asked, 60)
    assert len(str(error.value)) < 250


@pytest.mark.parametrize(
    "settings", [{}, {"num_answers": 3}, {"order": "confident-first"}, {"do_sample": True}], ids=str
)
def test_a_large_set_is_filled_from(settings, model, tokenizer, monkeypatch):
    """More choices than are all scored: they are followed token by token, and encoded once for all texts."""
    encoded = []
    forms_of_answers = closed_set.forms_of_answers
    monkeypatch.setattr(
        closed_set, "forms_of_answers", lambda *given: encoded.append(given) or forms_of_answers(*given)
    )
    choices = [f"{word} {number}" for word in SHARING for number in range(100)]
    texts = ["The [MASK] fox.", "A [MASK] and [MASK]."] * 2
    found = fill_blanks(model, tokenizer, texts, constraints=BlankConstraint(choices=choices), **settings)
    assert {answer.text for fillings in found for filling in fillings for answer in filling.answers} <= set(choices)
    assert all(found)
    assert len(encoded) == 1


def test_fifty_thousand_choices_are_read_in_time(tokenizer, monkeypatch):
    """A search through all choices for each of them takes hours. Encoding them is a part of its own."""
    choices = [f"{number:x} {number % 7}" for number in range(50_000)]
    codes = {choice: [tuple(map(ord, choice))] for choice in choices}
    monkeypatch.setattr(closed_set, "forms_of_answers", lambda _, asked: [codes[choice] for choice in asked])
    asked, automata = BlankConstraint(choices=choices), Automata(tokenizer, 256)
    start = time.process_time()
    rules = [BlankRules(asked, automata, 60) for _ in range(100)][-1]
    for choice in choices:
        assert asked.accepts(choice)
        assert rules._closed_set.find(codes[choice][0]) == choice
        assert rules.may_end(codes[choice][0])
    for choice in choices[:2000]:
        assert rules.allowed(codes[choice][0][:2]).any()
    assert time.process_time() - start < 10


def test_tokens_that_the_model_lacks_are_refused(tokenizer):
    """As of a tokenizer that got tokens after the model was made."""
    with pytest.raises(
        ValueError, match=r"The choice 'fox' has the token \d+, but the model has 100: call model.resize"
    ):
        ClosedSet(tokenizer, 100, BlankConstraint(choices=["fox"]), 9)


@pytest.mark.parametrize(
    "settings", [{}, {"order": "confident-first"}, {"num_answers": 2}, {"num_beams": 3}, {"num_beams": 1}], ids=str
)
def test_arguments_of_generate_hold_for_choices_too(settings, model, tokenizer):
    """Small sets are scored without `generate`, unless it has something to say."""
    text, choices = "The quick [MASK] jumps over the dog.", ["fox", "cat", "capital"]
    constraint = BlankConstraint(choices=choices)
    (best, *_) = fill_blanks(model, tokenizer, text, 3, constraints=constraint)
    word = best.answers[0].text
    forms = [list(form) for form in answer_forms(tokenizer, word)]
    found = fill_blanks(model, tokenizer, text, constraints=constraint, bad_words_ids=forms, **settings)
    assert found
    assert word not in {filling.answers[0].text for filling in found}
    assert fill_blanks(model, tokenizer, text, constraints=constraint, use_cache=True)[0] == best

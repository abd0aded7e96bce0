"""Answers meet their constraints, with vocabularies of all kinds."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modeling_glm import BlankConstraint, GLMForConditionalGeneration, GLMTokenizer, fill_blanks
from modeling_glm.constraints.factory import Automata
from modeling_glm.constraints.rules import BlankRules
from tests.support.models import make_model
from tests.support.original_files import write_vocabulary

TEXT = "The [MASK] fox jumps over ([MASK])."


def model_for(tokenizer: GLMTokenizer) -> GLMForConditionalGeneration:
    return make_model(GLMForConditionalGeneration, vocab_size=len(tokenizer), **tokenizer.special_token_ids)


@pytest.fixture(scope="module")
def model(tokenizer) -> GLMForConditionalGeneration:
    return model_for(tokenizer)


@pytest.fixture(scope="module", params=["gpt2", "bert", "chinese"])
def original(request, tmp_path_factory) -> tuple[GLMForConditionalGeneration, GLMTokenizer]:
    tokenizer = GLMTokenizer.from_pretrained(write_vocabulary(request.param, tmp_path_factory.mktemp(request.param)))
    return model_for(tokenizer), tokenizer


CLASSES = st.sampled_from(["[a-f]", "[0-9]", "fox", "[aeiou]", "(?:cat|dog)", " ", "x", r"\d", "[A-Z]", "[^a-z ]"])
COUNTS = st.sampled_from(["", "?", "*", "+", "{2}", "{1,3}"])
REGEXES = st.lists(st.tuples(CLASSES, COUNTS).map("".join), min_size=1, max_size=4).map("".join)


@pytest.mark.slow
@settings(max_examples=25)
@given(pattern=REGEXES, num_answers=st.sampled_from([1, 3]), do_sample=st.booleans())
def test_answers_match_their_regex(model, tokenizer, pattern, num_answers, do_sample):
    asked = BlankConstraint(regex=pattern)
    found = fill_blanks(
        model, tokenizer, TEXT, num_answers, constraints=asked, do_sample=do_sample, max_new_tokens_per_blank=8
    )
    assert found
    for filling in found:
        for answer in filling.answers:
            assert asked.accepts(answer.text)
            # An answer is told with the white space that an expression may ask for, and perhaps a space in front of it.
            literal = answer.text.literal
            assert any(re.fullmatch(pattern, text) for text in (literal, literal.removeprefix(" ")))
        assert all(len(answer.token_ids) <= 8 for answer in filling.answers)


WORDS = st.text(alphabet="abcdefghij 0123", min_size=1, max_size=8).filter(lambda word: word.strip())


@settings(max_examples=20)
@given(choices=st.lists(WORDS, min_size=1, max_size=6), num_answers=st.sampled_from([1, 3]), exact=st.booleans())
def test_answers_are_of_their_set(model, tokenizer, choices, num_answers, exact):
    asked = BlankConstraint(choices=choices)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("modeling_glm.filling.jobs.MAX_EXACT", 512 if exact else 0)
        found = fill_blanks(model, tokenizer, TEXT, num_answers, constraints=asked)
    assert found
    for filling in found:
        assert {answer.text for answer in filling.answers} <= {choice.strip() for choice in choices}


@settings(max_examples=15)
@given(
    words=st.lists(st.sampled_from([*"aeiost", "the", "fox", "x1"]), min_size=1, max_size=8), seed=st.integers(0, 9)
)
def test_forbidden_words_do_not_occur(model, tokenizer, words, seed):
    asked = BlankConstraint(forbidden_words=words, min_new_tokens=2)
    found = fill_blanks(
        model, tokenizer, TEXT, 4, constraints=asked, do_sample=True, seed=seed, max_new_tokens_per_blank=12
    )
    assert found
    for filling in found:
        for answer in filling.answers:
            assert not set(re.findall(r"\w+", answer.text.lower())) & set(words)
            assert 2 <= len(answer.token_ids) <= 12


@pytest.mark.slow
@pytest.mark.parametrize(
    "asked",
    [
        BlankConstraint(regex="[0-9]{4}"),
        BlankConstraint(regex="[a-z]+( [a-z]+){2}"),
        BlankConstraint(choices=["The Fox", "a dog's life", "1987"]),
        BlankConstraint(forbidden_words=["the", "of"], min_new_tokens=1),
        BlankConstraint(regex="[a-z ]+", forbidden_words=["a", "the"], min_new_tokens=2, max_new_tokens=5),
    ],
    ids=str,
)
def test_vocabularies_of_the_originals(original, asked):
    model, tokenizer = original
    for settings_ in ({}, {"num_answers": 3}, {"num_answers": 3, "do_sample": True}):
        found = fill_blanks(model, tokenizer, TEXT, constraints=asked, max_new_tokens_per_blank=10, **settings_)
        assert found
        assert all(asked.accepts(answer.text) for filling in found for answer in filling.answers)


def test_a_choice_is_listed_once_and_shown_as_its_tokens_say(model, tokenizer):
    """A word and the same word behind a space are one answer, in the likelier form."""
    for text in ("The [MASK] fox", "The[MASK] fox"):
        found = fill_blanks(
            model, tokenizer, text, 9, constraints=BlankConstraint(choices=["dog", " dog", "dog ", "cat"])
        )
        assert sorted(filling.answers[0].text for filling in found) == ["cat", "dog"]
        for filling in found:
            answer = filling.answers[0]
            assert filling.text == f"The{answer.text.literal} fox"
            assert answer.text.literal == tokenizer.decode(answer.token_ids)


@pytest.mark.parametrize(
    "search",
    [{}, {"num_answers": 3}, {"do_sample": True}, {"order": "confident-first"}],
    ids=["greedy", "beams", "sample", "first"],
)
@pytest.mark.parametrize(
    "pattern", ["^[0-9]{2}$", " a", "a ", r"\bfox\b", "[[:digit:]]{2}", "a|ab", r"(?s:.){5}", "^$"]
)
def test_every_search_finds_what_a_pattern_says(model, tokenizer, pattern, search):
    """Also where the longest answer that the pattern allows fits exactly."""
    asked = BlankConstraint(regex=pattern, max_new_tokens=5)
    found = fill_blanks(model, tokenizer, TEXT, constraints=asked, **search)
    assert found
    assert all(asked.accepts(answer.text) for filling in found for answer in filling.answers)


@pytest.mark.parametrize("pattern", ["\u4e2d", "[\U0001f600-\U0001f64f]", "x\u4e2d+"])
def test_what_a_vocabulary_cannot_write_is_refused(of_family, pattern):
    tokenizer = of_family("bert")
    automata = Automata(tokenizer, len(tokenizer))
    with pytest.raises(ValueError, match="the vocabulary cannot form an answer that matches"):
        BlankRules(BlankConstraint(regex=f"Q{pattern}"), automata, 9)


def test_an_expression_that_needs_look_around_is_refused(model, tokenizer):
    with pytest.raises(ValueError, match="Expected the syntax of Rust's regex crate"):
        fill_blanks(model, tokenizer, TEXT, constraints=BlankConstraint(regex="(?=a)b"))


def test_without_outlines_the_way_to_it_is_named(model, tokenizer, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "outlines_core", None)
    with pytest.raises(ImportError, match=r"pip install 'modeling-glm\[constraints\]'"):
        fill_blanks(model, tokenizer, TEXT, constraints=BlankConstraint(regex="never seen before"))


def test_what_no_beam_can_find_is_said(model, tokenizer, monkeypatch):
    """A constraint that its automata let through, but not its last check."""
    monkeypatch.setattr(BlankConstraint, "accepts", lambda self, answer: False)
    assert fill_blanks(model, tokenizer, TEXT, max_new_tokens_per_blank=3) == []


@pytest.mark.parametrize(
    "settings", [{}, {"num_answers": 2}, {"order": "confident-first"}, {"do_sample": True}], ids=str
)
@pytest.mark.parametrize("least", [65, 10**9])
def test_a_minimum_beyond_the_longest_answer_is_refused(settings, least, model, tokenizer):
    """Without a limit of its own an answer has at most 46 tokens: what the position table of the model holds."""
    with pytest.raises(ValueError, match=f"Text 0: min_new_tokens={least}, but the answer may have at most 46 tokens"):
        fill_blanks(model, tokenizer, TEXT, constraints=BlankConstraint(min_new_tokens=least), **settings)

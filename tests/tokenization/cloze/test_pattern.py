"""One pattern with its words."""

import numpy as np
import pytest

from modeling_glm.tokenization.cloze.pattern import ClozePattern, as_tuple, plain
from tests.support.missing import MISSING

WORDS = {"x": ("dog",), "y": ("fox", "cat")}


@pytest.mark.parametrize(
    ("text", "settings", "expected"),
    [
        ("{a} [MASK]", {"verbalizer": {"p": ("b", " c"), "q": ("d",)}}, [[" b", " c"], [" d"]]),
        ("{a} ([MASK])", {"verbalizer": {"p": ("b",), "q": (" d",)}}, [["b"], [" d"]]),
        ("[MASK] {a}", {"choices": ("{options}",)}, [["one"], [" two"]]),
        ("{a}{soft:1} [MASK]", {"choices": ("{a}!", "no {a}")}, [[" x!"], [" no x"]]),
    ],
)
def test_words_take_the_space_before_the_blank(text, settings, expected):
    assert ClozePattern(text, **settings).words({"a": "x", "options": ["one", " two"]}) == expected


@pytest.mark.parametrize(
    ("text", "before"),
    [
        ("{a} is [MASK]", " is "),
        ("a\n[MASK]", "a\n"),
        ("{a} [MASK]", " "),
        ("{a}[MASK]", ""),
        ("({a})([MASK])", ")("),
        ("[MASK] {a}", ""),
        ("{{{soft:2}[MASK] {a}", ""),
    ],
)
def test_text_before_the_blank(text, before):
    assert ClozePattern(text, WORDS).text_before_blank == before


def test_words_as_they_were_given():
    assert ClozePattern("{a} [MASK]", {"p": ("b", " c"), "q": ("d",)}).read_words({}) == [["b", " c"], ["d"]]
    assert ClozePattern("{a} [MASK]", choices=("{b}", "no {b}")).read_words({"b": 1}) == [["1"], ["no 1"]]


@pytest.mark.parametrize("missing", MISSING)
def test_missing_words(missing):
    for words in (missing, ["dog", missing]):
        with pytest.raises(ValueError, match="A word of the verbalizer is missing"):
            as_tuple(words)


def test_numbers_are_words():
    assert [as_tuple(words) for words in (1, [1, "x"], np.array(["a", "b"]))] == [("1",), ("1", "x"), ("a", "b")]


def test_fields():
    pattern = ClozePattern("{a} [MASK] {b|bare}{soft:2}{soft:3}", choices=("{b}", "not {c}"))
    assert pattern.fields == {"a", "b", "c"}
    assert pattern.choice_fields == {"b", "c"}
    assert pattern.soft_tokens == 5
    assert ClozePattern("{a} [MASK]", WORDS).choice_fields == set()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("{a} [MASK]",), "needs either a verbalizer"),
        (("{a} [MASK]", WORDS, ("{options}",)), "needs either a verbalizer"),
        (("{a} [MASK]", {"x": ("x",)}), "at least two labels"),
        (("{a} [MASK]", {"x": ("x",), "y": ()}), "Label 'y' has the words"),
        (("{a} [MASK]", {"x": ("x",), "y": (" ",)}), "Label 'y' has the words"),
        (("{a} [MASK]", None, ("yes", "no")), "'yes' is not a choice of an example"),
        (("{a}", WORDS), "has 0 blanks"),
        (("{a} [MASK]", None, ("a {options}",)), "holds more than the field with the list of choices"),
        (("{a} [MASK]", None, ("{b} {c}",)), "holds more than the field with the list of choices"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        ClozePattern(*arguments)


@pytest.mark.parametrize("options", ["text", 3, [], {"a": 1}])
def test_choices_that_are_no_list(options):
    with pytest.raises(ValueError, match="'options'"):
        ClozePattern("{a} [MASK]", choices=("{options}",)).read_choices({"a": "x", "options": options})


@pytest.mark.parametrize("words", ["dog", ["fox", "cat"]])
def test_words_for_json(words):
    assert plain(as_tuple(words)) == words
    assert plain({"x": as_tuple(words)}) == {"x": words}

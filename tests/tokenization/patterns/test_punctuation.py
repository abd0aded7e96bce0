"""Typographic punctuation in ASCII, and examples that remember how it was."""

from hypothesis import given
from hypothesis import strategies as st

from modeling_glm.tokenization.patterns.punctuation import (
    keep_originals,
    standardize_all,
    standardize_punctuation,
    with_original_texts,
)


def test_quotes_and_dashes():
    assert standardize_punctuation("“a” ‘b’ it’s 1–2") == "\"a\" 'b' it's 1-2"


def test_other_typography_stays():
    kept = "— … „low“ «angle» ‹single› ‚comma‘ ‐ ‑ −"
    assert standardize_punctuation(kept) == kept.replace("“", '"').replace("‘", "'")


@given(st.text(st.sampled_from("a “”‘’–—\"'-。") | st.characters()))
def test_every_character_becomes_one(text):
    standard = standardize_punctuation(text)
    assert len(standard) == len(text)
    assert not set(standard) & set("“”‘’–")
    assert standardize_punctuation(standard) == standard
    changed = [old for old, new in zip(text, standard, strict=True) if old != new]
    assert set(changed) <= set("“”‘’–")


def test_texts_inside_of_lists_and_dicts():
    value = {"a": "“x”", "b": ["it’s", 3, {"c": "1–2"}], "d": None}
    assert standardize_all(value) == {"a": '"x"', "b": ["it's", 3, {"c": "1-2"}], "d": None}
    assert value["b"][0] == "it’s"


def test_an_example_remembers_its_texts():
    given = {"text": "it’s", "candidates": ["O’Brien", "Bo"], "label": 1, "parts": {"more": "“”"}}
    example = {"text": "it's", "candidates": ["O'Brien", "Bo"], "label": 1}
    kept = keep_originals(example, given)
    assert kept == {**example, "original_texts": {"text": "it’s", "candidates": ["O’Brien", "Bo"]}}
    assert with_original_texts(kept) == {"text": "it’s", "candidates": ["O’Brien", "Bo"], "label": 1}


def test_an_example_without_typography_stays():
    example = {"text": "it's", "label": 1}
    assert keep_originals(example, example) == with_original_texts(example) == example


def test_of_two_texts_that_become_one_the_first_counts():
    kept = keep_originals({"candidates": ["O'Brien"]}, {"candidates": ["O’Brien", "O‘Brien", "O'Brien"]})
    assert with_original_texts(kept) == {"candidates": ["O’Brien"]}

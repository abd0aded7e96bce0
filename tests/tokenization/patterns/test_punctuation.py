"""Typographic punctuation in ASCII."""

from hypothesis import given
from hypothesis import strategies as st

from modeling_glm.tokenization.patterns.punctuation import standardize_punctuation


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

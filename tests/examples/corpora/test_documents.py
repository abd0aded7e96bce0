"""The text and the key of a document."""

from examples.corpora.documents import is_held_out, join_words, sample, state_fact, with_article

TEMPLATES = ["{Name} is {value}.", "The value of {name} is {value}.", "{value} belongs to {name}."]


def test_a_fact_is_stated_the_same_every_time():
    first, second = (list(state_fact("toy", ["base:x"], TEMPLATES, name="the sum", value=3)) for _ in range(2))
    (document,) = first
    assert first == second
    assert document.text.count("The sum is 3.") + document.text.count("The value of the sum is 3.") >= 1
    assert document.text != next(state_fact("toy", ["base:y"], TEMPLATES, name="the sum", value=3)).text


def test_a_document_has_the_key_of_what_is_held_out():
    keys = [f"number:{number}" for number in range(100, 400)]
    secret = next(key for key in keys if is_held_out(key))
    public = next(key for key in keys if not is_held_out(key))
    (document,) = state_fact("toy", [public, secret], TEMPLATES, name="it", value=1)
    assert document.key == secret
    (document,) = state_fact("toy", [public], TEMPLATES, name="it", value=1)
    assert document.key == public


def test_comparisons_and_parity_are_left_out():
    for word in ("larger", "an even number", "oddly"):
        assert not list(state_fact("toy", ["base:x"], ["{name} is {value}."], name="it", value=word))


def test_small_helpers():
    assert [join_words(list(words)) for words in ("a", "ab", "abc")] == ["a", "a and b", "a, b and c"]
    assert [with_article(noun) for noun in ("error", "letter", "unit")] == ["an error", "a letter", "a unit"]
    assert sample("x", range(100), 10) == sorted(sample("x", range(100), 10))
    assert sample("x", range(100), 10) != sample("y", range(100), 10)
    assert sample("x", [1, 2], 10) == [1, 2]

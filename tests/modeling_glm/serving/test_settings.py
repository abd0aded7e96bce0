"""Settings of a service are checked when they are made, and a request before anything is computed."""

import pytest

from modeling_glm.serving.settings import ServiceSettings


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"batch_size": 0}, "batch_size=0: expected"),
        ({"most_tokens": 0}, "most_tokens=0: expected"),
        ({"most_waiting": 1.5}, "most_waiting=1.5"),
        ({"wait": -1}, "wait=-1: expected at least 0"),
        ({"timeout": 0}, "timeout=0: expected a number above 0"),
        ({"timeout": "soon"}, "timeout='soon'"),
    ],
)
def test_numbers_out_of_range_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        ServiceSettings(**settings)


def test_requests_are_measured(tokenizer):
    settings = ServiceSettings(most_characters=12, most_blanks=1, most_choices=2)
    settings.check_request(tokenizer, "Ice [MASK].", ["cold", "hot"])
    for text, choices, words in [
        ("Ice is so [MASK].", [], "has 17 characters in a text: expected at most 12"),
        ("[MASK]", ["lukewarm water"], "has 14 characters in a text"),
        ("[MASK][MASK]", [], "has 2 blanks: expected at most 1"),
        ("[MASK]", ["a", "b", "c"], "has 3 choices: expected at most 2"),
        ("[MASK]", [3], "The request has 3: expected a text"),
        (None, [], "The request has None: expected a text"),
    ]:
        with pytest.raises(ValueError, match=words):
            settings.check_request(tokenizer, text, choices)


def test_examples_are_measured():
    settings = ServiceSettings(most_characters=12, most_blanks=1, most_choices=2)
    settings.check_example("Ice.")
    settings.check_example(
        {"text": "[MASK][MASK]", "options": ["cold", "hot"], "stars": 5}
    )  # no blanks of the pattern
    for example, words in [
        ("Ice is so cold", "has 14 characters in a text: expected at most 12"),
        ({"a": "x", "b": "lukewarm water"}, "has 14 characters in a text"),
        ({"options": ["a", "b", "c"]}, "has 3 choices: expected at most 2"),
        ({"options": ["a", "lukewarm water"]}, "has 14 characters in a text"),
    ]:
        with pytest.raises(ValueError, match=words):
            settings.check_example(example)

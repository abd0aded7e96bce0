"""Held-out texts stay out of the texts to train on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.corpora.leaks import WINDOW, LeakFinder, words_of

WORDS = st.lists(st.sampled_from(["a", "b", "It's", "x1"]), max_size=30)
HELD_OUT = " ".join(f"word{n}" for n in range(20))


@pytest.mark.parametrize(
    ("text", "leaks"),
    [
        (HELD_OUT, True),
        ("Before that, " + ", ".join(HELD_OUT.upper().split()[3 : 3 + WINDOW]) + "!", True),
        (" ".join(HELD_OUT.split()[3 : 2 + WINDOW]), False),
        ("A short one.", True),
        ("a SHORT one", True),
        ("This is a short one.", False),
        ("", False),
    ],
)
def test_windows_and_whole_texts(text, leaks):
    assert LeakFinder([HELD_OUT, "A short one."]).leaks(text) == leaks


@given(WORDS, WORDS)
def test_it_is_what_a_naive_search_finds(held_out, text):
    """A naive search compares every pair of windows."""
    windows = [
        [words[start : start + WINDOW] for start in range(len(words) - WINDOW + 1)]
        for words in (words_of(" ".join(held_out)), words_of(" ".join(text)))
    ]
    same = words_of(" ".join(held_out)) == words_of(" ".join(text))
    assert LeakFinder([" ".join(held_out)]).leaks(" ".join(text)) == (
        same or any(window in windows[0] for window in windows[1])
    )


@given(WORDS, WORDS)
def test_passages_are_found_as_a_naive_search_finds_them(passage, text):
    words, within = words_of(" ".join(passage)), words_of(" ".join(text))
    expected = len(words) >= 4 and any(
        within[start : start + len(words)] == words for start in range(len(within) - len(words) + 1)
    )
    assert LeakFinder([], [" ".join(passage)]).leaks(" ".join(text)) == expected

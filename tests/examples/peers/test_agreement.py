"""Pairs of verbs: the blank stands where the sentences differ."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.peers.agreement import FILES, agreement_rows, put_blank
from examples.peers.questions import AnsweredQuestion
from tests.support.real_data import needs_real_data


@pytest.mark.parametrize(
    ("text", "choices", "expected"),
    [
        ("The robots ", ["hum", "hums"], ("The robots [MASK]", ["hum", "hums"])),
        ("The robots", ["hum", "hums"], ("The robots [MASK]", ["hum", "hums"])),
        ("the lamp ", ["glow all night.", "glows all night."], ("the lamp [MASK] all night.", ["glow", "glows"])),
        ("the lamp ", ["glow a b", "glows x b"], ("the lamp [MASK] b", ["glow a", "glows x"])),
        ("the lamp ", ["is is", "is"], ("the lamp [MASK]", ["is is", "is"])),
    ],
)
def test_the_blank_stands_where_the_choices_differ(text, choices, expected):
    assert put_blank(AnsweredQuestion(text, choices, 0)) == expected


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=4), min_size=2, max_size=3))
def test_filled_blanks_are_the_sentences(words):
    choices = [" ".join(of_choice) for of_choice in words]
    text, short = put_blank(AnsweredQuestion("The dog ", choices, 0))
    assert [text.replace("[MASK]", choice) for choice in short] == [f"The dog {choice}" for choice in choices]
    assert all(short)


def test_rows_have_the_file_as_their_group(questions):
    rows = agreement_rows()
    assert len(rows) == 2 * len(FILES)
    assert (rows[0].text, rows[0].label, rows[0].group) == ("The robots [MASK]", 0, "simple")
    assert (rows[1].text, rows[1].label) == ("the lamp near the doors [MASK] all night.", 1)


@needs_real_data("bigbench", *(f"subject_verb_agreement/{name}.json" for name in FILES))
def test_all_pairs():
    rows = agreement_rows()
    assert len(rows) == 40307
    assert all(row.text.count("[MASK]") == 1 and len(row.choices) == 2 for row in rows)

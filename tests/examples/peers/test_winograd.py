"""Winograd schemas rebuilt from pairs of sentences."""

import pytest

from examples.peers import winograd
from examples.peers.questions import ChoiceRow
from examples.peers.winograd import Schema, build_rows, read_schemas, split_at_pronoun, winograd_rows, write_choice
from tests.support.real_data import needs_real_data


def test_rows_of_pairs(questions):
    assert winograd_rows() == [
        ChoiceRow(
            "The crate does not fit in the van because [MASK] is too wide.", ["the crate", "the van"], 0, "winograd"
        ),
        ChoiceRow(
            "The crate does not fit in the van because [MASK] is too narrow.", ["the crate", "the van"], 1, "winograd"
        ),
        ChoiceRow("Zora waved at Mina. [MASK] was leaving.", ["Zora", "Mina"], 0, "winograd"),
        ChoiceRow("Zora waved at Mina. [MASK] was arriving.", ["Zora", "Mina"], 1, "winograd"),
    ]


def test_a_sentence_without_a_partner_is_left_out():
    schemas = [
        Schema("The crate fits because it is wide.", "it", "the crate"),
        Schema("Nobody knows what he was doing there.", "he", "nobody"),
    ]
    assert build_rows(schemas) == []


def test_a_wrong_choice_of_the_other_sentence_alone_is_left_out():
    schemas = [
        Schema("The heavy crate stood on the shelf and it broke.", "it", "the shelf"),
        Schema("The glass vase stood on the shelf and it broke.", "it", "the glass vase"),
    ]
    assert [row.text for row in build_rows(schemas)] == ["The glass vase stood on the shelf and [MASK] broke."]


def test_the_pronoun_is_the_last_one_of_its_form(monkeypatch):
    schema = Schema("It rained, so it was wet when it came.", "it", "the cat")
    assert split_at_pronoun(schema) == ("It rained, so it was wet when ", " came.")
    assert split_at_pronoun(schema._replace(pronoun="It")) == ("", " rained, so it was wet when it came.")
    assert split_at_pronoun(schema._replace(pronoun="IT"))[1] == " came."
    monkeypatch.setattr(winograd, "FIRST_PRONOUN", {winograd.digest(schema.sentence)})
    assert split_at_pronoun(schema) == ("It rained, so ", " was wet when it came.")
    with pytest.raises(ValueError, match="has no 'she'"):
        split_at_pronoun(schema._replace(pronoun="she"))


@pytest.mark.parametrize(
    ("meant", "pronoun", "before", "expected"),
    [
        ("dr. zora", "she", "x ", "Dr. Zora"),
        ("the tv", "it", "x ", "the TV"),
        ("the tv", "It", "It rained. ", "The TV"),
        ("zora's sister", "she", "x ", "Zora's sister"),
        ("the old house", "it", "x ", "the old house"),
        ("zora", "her", "x ", "Zora's"),
        ("the old house", "It", "", "The old house"),
    ],
)
def test_choices_are_written_as_the_sentence_would(meant, pronoun, before, expected):
    schema = Schema("The TV of Dr. Zora was old.", pronoun, meant)
    assert write_choice(meant, schema, before) == expected


def test_texts_of_another_form():
    with pytest.raises(ValueError, match="Example 1 of winowhy does not say what a pronoun refers to"):
        read_schemas(["It fits. The 'it' refers to the crate because it does.", "It fits."])


@needs_real_data("bigbench", "winowhy.json")
def test_all_schemas():
    rows = winograd_rows()
    assert len(rows) == 271
    assert all(row.text.count("[MASK]") == 1 and len(set(row.choices)) == 2 for row in rows)
    assert sum(row.label for row in rows) == 135

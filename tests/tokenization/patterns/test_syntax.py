"""The syntax of patterns: elements, filters, segments, errors."""

import pytest

from modeling_glm.tokenization.patterns.syntax import (
    BlankElement,
    FieldElement,
    Segment,
    SoftElement,
    field_names,
    fill_segments,
    fill_template,
    has_blanks_in_fields,
    parse,
    parse_pattern,
)
from tests.support.missing import MISSING

EXAMPLE = {"a": "One.", "b": "two words. ", "number": 7}


def test_elements_of_a_pattern():
    elements = parse("{{a}} {soft:2}{word|bare|lower_first|inline} b")
    assert elements == ["{a} ", SoftElement(2), FieldElement("word", ("bare", "lower_first"), inline=True), " b"]


@pytest.mark.parametrize(
    ("pattern", "filled"),
    [
        ("{a}? [MASK], {b}", "One.?[MASK], two words. "),
        ("{a|bare}: {b|strip|bare} [MASK]", "One: two words[MASK]"),
        ("{b|strip|bare|lower_first}{a|lower_first}([MASK])", "two wordsone.([MASK])"),
        ("[MASK]{{{a}}}", "[MASK]{One.}"),
        ("{number} [sMASK]", "7[sMASK]"),
        ("{a|inline} {b|inline|strip} [gMASK]", "One. two words.[gMASK]"),
    ],
)
def test_filled_patterns(pattern, filled):
    assert fill_template(pattern, EXAMPLE) == filled


def test_chinese_punctuation_is_taken_off():
    assert fill_template("{a|bare}？[MASK]", {"a": "天气很好。！"}) == "天气很好？[MASK]"


def test_segments():
    assert fill_segments(parse("So {a|shorten} {b|inline}! {soft:2}[sMASK]"), EXAMPLE) == [
        Segment("text", "So"),
        Segment("text", " One.", shortenable=True, written=False),
        Segment("text", " two words. ! ", written=False),
        Segment("soft", count=2),
        Segment("mask", "[sMASK]"),
    ]
    assert fill_segments(parse("{a}[MASK]"), {"a": ""}) == [Segment("mask", "[MASK]")]


def test_segments_know_how_they_are_cut():
    segments = fill_segments(
        parse("{a|shorten_start}\n [MASK] {b|shorten_around:a} {c|blanks|shorten}"), {**EXAMPLE, "c": "c"}
    )
    assert segments == [
        Segment("text", "One.", shortenable=True, written=False, side="start"),
        Segment("mask", "[MASK]", space="\n "),
        Segment("text", " two words. ", shortenable=True, written=False, around=" One."),
        Segment("text", " c", shortenable=True, written=False, blanks=True),
    ]
    assert field_names(parse("{b|shorten_around:a} [MASK]")) == {"a", "b"}
    assert has_blanks_in_fields(parse("{a} {c|blanks}"))
    assert not has_blanks_in_fields(parse("{a} [MASK]"))


def test_names_of_fields():
    assert field_names(parse("{a|bare} [MASK] {b}{a} {{c}}")) == {"a", "b"}


def test_lists_of_choices():
    field = FieldElement("options", ("strip",))
    assert field.read_list({"options": ("a ", 2)}) == ["a", "2"]
    with pytest.raises(ValueError, match="The field 'options' is a str, 'ab': expected a list of choices"):
        field.read_list({"options": "ab"})
    with pytest.raises(ValueError, match="asks for a field 'options'"):
        field.read_list({})


@pytest.mark.parametrize("missing", MISSING)
def test_missing_values(missing):
    with pytest.raises(ValueError, match="Field 'a' is missing"):
        fill_template("{a|bare}", {"a": missing})
    with pytest.raises(ValueError, match="Choice 1 of the field 'a' is missing"):
        FieldElement("a").read_list({"a": ["x", missing]})
    with pytest.raises(ValueError, match="The field 'a' is missing"):
        FieldElement("a").read_list({"a": missing})


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("{a} no blank", "has 0 blanks: expected exactly one"),
        ("[MASK] {a} [gMASK]", "has 2 blanks: expected exactly one"),
        ("{a} { [MASK]", "single '{'"),
        ("{a b} [MASK]", "neither a field"),
        ("{soft:0} [MASK]", "neither a field"),
        ("{a|upper} [MASK]", "Unknown filter 'upper'.*shorten"),
        ("{a|inline|shorten} [MASK]", "cannot be inline and shortened"),
        ("{a|inline|shorten_start} [MASK]", "cannot be inline and shortened"),
        ("{a|inline|blanks} [MASK]", "cannot be inline and have blanks"),
        ("{a|shorten|shorten_start} [MASK]", "shortened in 2 ways"),
        ("{a|shorten_around:b|shorten} [MASK]", "shortened in 2 ways"),
        ("{a|shorten_around:} [MASK]", "is not a field: write"),
        ("{a|blanks} [MASK]", r"a field with \|blanks: a cloze question"),
    ],
)
def test_errors(pattern, message):
    with pytest.raises(ValueError, match=message):
        parse_pattern(pattern)


def test_every_part_of_a_pattern_is_an_element():
    assert parse("[MASK]{a}{soft:1}{{") == [BlankElement("[MASK]"), FieldElement("a"), SoftElement(1), "{"]

"""The outline of a regular expression, and what is wrong with it."""

import pytest

from modeling_glm.constraints.compile_bytes import CONDITIONS
from modeling_glm.constraints.pattern_syntax import ASSERTIONS, PatternError, read_pattern, show_pattern


def test_script_knows_the_assertions_in_this_order():
    assert tuple(CONDITIONS) == ASSERTIONS


@pytest.mark.parametrize(
    "pattern",
    ["a{2,3}", "[]a]", "[^]a]", "[-]", "[a[b]]", r"[\]^$]", r"\{\^\$\\", "(?i)a", "(?x) [ # ^\n ] a]", r"\p{L}"],
)
def test_signs_of_assertions_that_stand_for_themselves(pattern):
    assert read_pattern(pattern).assertions == frozenset()


@pytest.mark.parametrize(
    ("pattern", "assertions"),
    [
        ("^a", {"text start"}),
        (r"\Aa\z", {"text start", "text end"}),
        ("(?m)^a(?-m:$)", {"line start", "text end"}),
        ("(?mR:^)a$", {"crlf start", "text end"}),
        (r"\ba\B", {"word edge", "no word edge"}),
        (r"\<a\>", {"word start", "word end"}),
        (r"\b{start-half}a\b{end-half}", {"no word before", "no word behind"}),
        (r"(?-u:\b)a\b", {"ascii edge", "word edge"}),
        (r"(?-u:\b{start}a\B)", {"ascii start", "no ascii edge"}),
        ("(?x) a # ^ $ \\b\n", set()),
        (r"[\^^$]", set()),
        (r"\\b\\A", set()),
        (r"((?m)^)^", {"line start", "text start"}),
    ],
)
def test_assertions_are_found_with_their_flags(pattern, assertions):
    assert read_pattern(pattern).assertions == assertions


def test_classes_leave_the_marks_out():
    assert read_pattern(r".[^a]\W").pattern.count("FDD0") == 3
    assert "FDD0" not in read_pattern("a(?-u:[a-z])").pattern
    spelled = read_pattern("\ufdd0.")
    assert (spelled.pattern, spelled.excludes_marks) == ("\ufdd0.", False)
    with pytest.raises(PatternError, match="cannot stand beside an anchor"):
        read_pattern(r"^\x{FDD0}")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(a", "the group that opens is never closed, at character 1"),
        ("a)", "a group closes that was never opened"),
        ("x[a", "the class that opens is never closed.* at character 2"),
        ("[[a]", "the class that opens is never closed"),
        ("(?=a)b", "look-ahead. Expected the syntax of Rust's regex crate"),
        ("(?<!a)b", "look-behind"),
        (r"(a)\1", r"\\1 is a backreference"),
        ("(?P<x>a)(?P=x)", "backreference"),
        ("(?>a)", "atomic"),
        ("(?#a)", "comment group"),
        (r"a\Z", r"the end is \\z"),
        (r"\Qa\E", r"\\Q has no meaning"),
        ("a\\", "a backslash ends the expression"),
        ("*a", "nothing stands before the '\\*'"),
        ("a|+", "nothing stands before the '\\+'"),
        ("(?i)?", "nothing stands before"),
        ("a{,3}", r"write \{0,3\}"),
        ("a{x}", r"\{x\} is not a count"),
        ("a{3,2}", "asks for at least 3 and at most 2"),
        ("a{3", "the count that opens is never closed"),
        (r"\x{110000}", "is not a character"),
        (r"\u{D800}", "is not a character"),
        (r"(?-u:\xff)", "not a character of UTF-8"),
        ("\ud800", "lone surrogate"),
        ("(?z)a", "begins no group"),
        ("(?)", "is empty"),
        (r"\p", "no name of a property"),
    ],
)
def test_what_is_wrong_is_said(pattern, message):
    with pytest.raises(PatternError, match=message):
        read_pattern(pattern)


def test_literal_characters_limit_the_bytes():
    assert read_pattern("ab|c(d)*é").alphabet == frozenset("abcdé".encode())
    assert read_pattern("(?i)ab").alphabet is None
    assert read_pattern("a.").alphabet is None
    assert read_pattern(r"a\d").alphabet is None


def test_long_expressions_are_shortened_in_messages():
    assert show_pattern("a|b") == "'a|b'"
    assert show_pattern("a" * 500) == f"'{'a' * 80}'... (500 characters)"

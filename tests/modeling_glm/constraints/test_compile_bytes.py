"""Automata over bytes match what Python's `re` matches, wherever both mean the same."""

from random import Random

import pytest

from modeling_glm.constraints.compile_bytes import RefusedError, compile_pattern
from modeling_glm.constraints.pattern_syntax import read_pattern
from tests.support.patterns import accepts, compile_here, draw_pattern, draw_text

pytest.importorskip("outlines_core")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(0, 60, 20))
def test_automata_agree_with_re(seed):
    for number in range(seed, seed + 20):
        random = Random(number)
        rust, python = draw_pattern(random)
        automaton = compile_here(rust)
        for text in (draw_text(random) for _ in range(25)):
            found = automaton is not None and automaton.accepts(text)
            assert found == accepts(python, text), (number, rust, text)


@pytest.mark.parametrize(
    ("pattern", "texts", "others"),
    [
        ("[[:digit:]]{4}", ["1987", " 1987"], ["198", "19 87"]),
        ("[a-z&&[^aeiou]]+", ["xyz"], ["xya"]),
        (r"\p{L}+", ["été", "中"], ["a1"]),
        (r"(?<year>19[0-9]{2})\z", ["1987"], ["1987 "]),
        (r"\x{41}\x42", ["AB"], ["ab"]),
        (" a", [" a", "  a"], ["a", " a "]),
        ("a ", ["a ", " a "], ["a"]),
        (r"\s*x", ["x", "   x", "\tx"], [" y"]),
        ("a|ab", ["a", "ab"], ["b"]),
        ("(?:ab)*?", ["", "ab", "abab"], ["a"]),
        ("(?i)straSSe", ["STRASSE", "strasse"], ["straße"]),
        ("(?i)k", ["k", "K", "\u212a"], ["j"]),
        ("(?x) a b # c\n d #", ["abd"], ["a b d"]),
        ("(?s).", ["\n"], ["", "ab"]),
        (".", ["a", "中"], ["\n"]),
        ("(?m)a$\n^b", ["a\nb"], ["ab"]),
        ("(?mR)a$\r\n^b", ["a\r\nb"], ["a\nb"]),
        ("(?U)a+", ["aaa"], [""]),
        ("\x00", ["\x00", " \x00"], [""]),
        ("[^\x00]$", ["a"], ["\x00"]),
        ("", ["", " "], ["a"]),
        ("^$", ["", " "], ["a"]),
        ("$^", ["", " "], ["a"]),
        ("(?:^|x)a(?:$|y)", ["a", "xay", " a"], ["ya"]),
        (r"\bfoo\b", ["foo", " foo"], ["foos"]),
        (r".*\bfoo\b.*", ["a foo", "-foo!"], ["afoo", "fooé", "éfoo", "foo中"]),
        (r".*(?-u:\b)foo(?-u:\b).*", ["éfoo", "fooé"], ["afoo", "foo_"]),
        (r"\b", [], ["", "a", " "]),
        (r"\B", ["", " "], ["a"]),
        (r"a{2}{3}", ["aaaaaa"], ["aaaaa"]),
        ("(?P<a>x)(?:y|z)?", ["x", "xz"], ["y"]),
        ("(a+)+b", ["ab", "aaab"], ["a" * 5000]),
        ("a.{40}b", [f"a{'xa' * 20}b"], ["ab"]),
        ("foo(?s:.){1,40}bar", ["foo\nfoobar"], ["foobar"]),
        (f"{'(' * 40}a{')' * 40}", ["a"], ["b"]),
        ("\ufdd0.", ["\ufdd0\ufdef"], ["a"]),
    ],
)
def test_syntax_of_rust(pattern, texts, others):
    automaton = compile_here(pattern)
    found = [text for text in [*texts, *others] if automaton is not None and automaton.accepts(text)]
    assert found == texts


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [("[a&&b]", "empty"), ("a[b&&c]|d", "empty"), ("[z-a]", "syntax"), (r"\p{Foo}", "syntax"), ("(?-u:.)", "syntax")],
)
def test_what_has_no_automaton_is_refused(pattern, reason):
    with pytest.raises(RefusedError, match=reason):
        compile_pattern(read_pattern(pattern).pattern)


def test_states_have_a_limit():
    for pattern in ("[ab]{100}", r"\w+\b.*", ".{40}"):  # of the engine, of sets of characters, of sets behind a space
        syntax = read_pattern(pattern)
        with pytest.raises(RefusedError, match="states"):
            compile_pattern(syntax.pattern, sorted(syntax.assertions), most=90)

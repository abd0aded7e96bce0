"""Endings of answers, beside a search through all texts."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("llguidance")

from modeling_glm.constraints.endings import EndingSearch
from modeling_glm.constraints.grammar import accepts, read_grammar, read_schema
from tests.support.grammars import PERSON, SCHEMAS, SUMS

BYTES = {byte: bytes([byte]) for byte in range(0x80)}


@settings(max_examples=60)
@given(words=st.lists(st.text(alphabet="ab", min_size=1, max_size=5), min_size=1, max_size=6), size=st.integers(1, 3))
def test_of_a_few_words_the_one_with_the_fewest_tokens_is_found(words, size):
    """Tokens are all texts of one or `size` letters."""
    letters = ["".join(text) for length in {1, size} for text in itertools.product("ab", repeat=length)]
    search = EndingSearch(
        read_grammar("start: " + " | ".join(f'"{word}"' for word in words)),
        {number: text.encode() for number, text in enumerate(letters)},
    )
    found = search.find(b"")
    assert found.text.decode() in words
    assert "".join(letters[token] for token in found.token_ids) == found.text.decode()

    def fewest(word: str) -> int:
        return min(fewest(word[length:]) for length in {1, size} if length <= len(word)) + 1 if word else 0

    assert len(found.token_ids) == min(map(fewest, words))


@settings(max_examples=40)
@given(schema=SCHEMAS)
def test_every_schema_has_an_ending_that_completes_it(schema):
    grammar = read_schema(schema)
    search = EndingSearch(grammar, {byte: bytes([byte]) for byte in range(0xF8)})
    found = search.find(b"")
    assert accepts(grammar, found.text.decode())
    half = found.text[: len(found.text) // 2]
    assert len(search.find(half).text) <= len(found.text) - len(half)


@pytest.mark.parametrize(
    ("grammar", "written", "expected"),
    [
        (read_schema(PERSON), b"", 23),
        (read_schema(PERSON), b'{"name": "Bob Dyl', 14),
        (read_schema(PERSON), b'{"name": "Bob", "year": 1987', 1),
        (read_schema({"type": "string", "minLength": 60}), b"", 62),
        (read_schema({"type": "string", "format": "date"}), b"", 12),
        (read_schema({"type": "array", "items": {"type": "string", "minLength": 5}, "minItems": 6}), b"", 49),
        (read_grammar(SUMS), b"(1+(2*", 3),
        (read_grammar('start: "<" TAG ">" start* "</" TAG ">"\nTAG: /[a-z]+/'), b"", 7),
        (read_grammar("start:"), b"", 0),
    ],
    ids=str,
)
def test_endings_are_short(grammar, written, expected):
    found = EndingSearch(grammar, BYTES).find(written)
    assert len(found.text) == len(found.token_ids) == expected


@pytest.mark.parametrize(
    ("grammar", "written"),
    [
        (read_grammar('start: "a" start'), b""),
        (read_grammar("start: start"), b""),
        (read_schema({"$ref": "#"}), b""),
        (read_grammar(SUMS), b"1+)"),
        (read_grammar('start: "\u4e2d"'), b""),  # no token has its bytes
    ],
    ids=str,
)
def test_what_never_ends_has_no_ending(grammar, written):
    assert EndingSearch(grammar, BYTES).find(written) is None


def test_only_words_of_the_vocabulary_count():
    search = EndingSearch(read_grammar('start: "a" | "bb"'), {5: b"b", 6: b" a"})
    assert search.find(b"").token_ids == (6,)  # a space may come first
    assert EndingSearch(read_grammar('start: "a" | "bb"'), {5: b"b"}).find(b"").token_ids == (5, 5)


def test_a_text_is_cut_into_the_fewest_tokens():
    search = EndingSearch(read_grammar("start: /.*/"), {1: b"a", 2: b"ab", 3: b"abc", 4: b"cd", 5: b"d"})
    assert search.cut(b"abcd") == (2, 4)
    assert search.cut(b"") == ()
    assert search.cut(b"abx") is None

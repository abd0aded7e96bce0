"""Schemas and grammars, beside naive references."""

import ast
import json
import re
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("llguidance")

from modeling_glm import BlankConstraint
from modeling_glm.constraints import grammar as module
from modeling_glm.constraints.grammar import accepts, read_grammar, read_schema, vocabulary_tokenizer
from tests.support.grammars import PERSON, SCHEMAS, SUMS, follows

VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-300, 300), st.sampled_from(["", "abc", "red", "é", 'q"'])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["a", "name", "x1"]), inner, max_size=2)
    ),
    max_leaves=4,
)


@settings(max_examples=80)
@given(schema=SCHEMAS, value=VALUES)
def test_a_schema_accepts_no_value_that_breaks_it(schema, value):
    if accepts(read_schema(schema), json.dumps(value, ensure_ascii=False)):
        assert follows(schema, value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"name":"Bob","year":1987}', True),
        (' {"name": "Bob", "year": 1987}', True),
        ('{ "name" : "Bé\\"" , "year" : 2100 }', True),
        ('{"name":"Bob","year":1899}', False),
        ('{"year":1987,"name":"Bob"}', False),  # properties stand in the order of the schema
        ('{"name":"Bob"}', False),
        ('{"name":"Bob","year":1987,"more":1}', False),
        ('{"name":  "Bob","year":1987}', False),
        ('{"name":"Bob","year":1987', False),
        ('{"name":"Bob","year":1987} ', False),
        ('  {"name":"Bob","year":1987}', False),
        ("", False),
    ],
    ids=str,
)
def test_a_schema_accepts_whole_answers(text, expected):
    assert accepts(read_schema(PERSON), text) is expected
    assert BlankConstraint(json_schema=PERSON).accepts(text) is expected


SIGNS = st.lists(st.sampled_from([*"0123+*()", "12"]), max_size=7).map("".join)


def is_sum(text: str) -> bool:
    """Ask Python, which also knows signs in front of numbers, tuples and calls."""
    if re.search(r"(^|[(+*])[+]|\*\*|\)\(|[0-9]\(|\)[0-9]|\(\)", text):
        return False
    try:
        ast.parse(re.sub("[0-9]+", "1", text), mode="eval")
    except SyntaxError:
        return False
    return bool(text)


@settings(max_examples=150)
@given(text=SIGNS)
def test_a_grammar_accepts_what_it_describes(text):
    assert accepts(read_grammar(SUMS), text) is is_sum(text)
    assert accepts(read_grammar(SUMS), f" {text}") is is_sum(text)
    assert not accepts(read_grammar(SUMS), f"  {text}")


@settings(max_examples=100)
@given(text=st.text(alphabet=" abé中0\n", max_size=6))
@pytest.mark.parametrize(
    ("grammar", "pattern"),
    [
        ("start: /[ab]+/ (/é/ | /[0-9]/)*", "[ab]+(é|[0-9])*"),
        ('start: " a" | "b"', " a|b"),
        ("start: / +[^ ]/ ", " +[^ ]"),
        ("start: WORD (/ +/ WORD)*\nWORD: /[a-b]/ | /中/", "[ab中]( +[ab中])*"),
    ],
)
def test_a_space_may_come_first_and_all_others_count(grammar, pattern, text):
    expected = any(re.fullmatch(pattern, form) for form in {text, text.removeprefix(" ")})
    assert accepts(read_grammar(grammar), text) is expected


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        (7, "json_schema=7 is of type int: expected a dict or its JSON"),
        (True, "json_schema=True is of type bool: expected a dict"),
        ([], r"json_schema=\[\] is of type list: expected a dict"),
        ("true", "json_schema='true' is JSON of type bool: expected a dict"),
        ('{"type": ', "json_schema='{\"type\": ' cannot be read as JSON: Expecting value"),
        ({"const": {1}}, "cannot be read as JSON: Object of type set"),
        ({"const": float("nan")}, "cannot be read as JSON: Out of range float"),
        ({"type": "nonsense"}, "cannot be used: Invalid type: nonsense. Expected a JSON schema of the keywords"),
        ({"not": {"type": "string"}}, 'cannot be used: Unimplemented keys: \\["not"\\]'),
        ({"$ref": "https://example.org/a"}, "is not present in a registry"),
        ({"$ref": "#/$defs/a"}, "Pointer '/\\$defs/a' does not exist"),
        ({"type": "string", "pattern": "(?=a)b"}, "look-around"),
        ({"type": "integer", "minimum": 5, "maximum": 3}, "Unsatisfiable schema: minimum"),
        ({"enum": []}, "Unsatisfiable schema"),
        ({"x-guidance": 3}, "json_schema has x-guidance=3: expected an object"),
        ({"enum": ["x" * 2**18]}, "is longer than 262,144 characters"),
        ({"anyOf": [{"$ref": "#"}] * 1001}, "has 1,001 rules or references, but at most 1,000"),
    ],
    ids=str,
)
def test_bad_schemas_are_refused(given_, message):
    with pytest.raises(ValueError, match=message):
        BlankConstraint(json_schema=given_)


def test_schemas_that_nest_too_deep_are_refused():
    schema = {"type": "null"}
    for _ in range(200):
        schema = {"type": "array", "items": schema}
    with pytest.raises(ValueError, match="recursion limit"):
        BlankConstraint(json_schema=schema)
    for _ in range(sys.getrecursionlimit()):
        schema = {"items": schema}
    with pytest.raises(ValueError, match="nests too deep to be read"):
        BlankConstraint(json_schema=schema)


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        (7, "grammar=7 is of type int: expected a string in the syntax of Lark"),
        ({}, "grammar={} is of type dict: expected a string"),
        ("", "grammar='' cannot be used: no start rule found. Expected a grammar in the syntax of Lark"),
        ('other: "a"', "no start rule found"),
        ("start: other", 'unknown name: "other"'),
        ('start: "a" ("b"', "Expected token"),
        ("start: /(?=a)/", "look-around"),
        ("start: <|endofpiece|>", "unknown special token"),
        (f'start: {"(" * 3000}"a"{")" * 3000}', "too deeply nested"),
        ("start: r0\n" + "\n".join(f"r{n}: r{n + 1}" for n in range(3000)) + '\nr3000: "a"', "has 3,002 rules"),
        ("start: " + "/a/ " * 2**17, "is longer than 262,144 characters"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_bad_grammars_are_refused(given_, message):
    with pytest.raises(ValueError, match=message):
        BlankConstraint(grammar=given_)


@pytest.mark.parametrize("text", ["\n" * 200_000, "a" * 200_000, "a\n" * 100_000, " " * 200_000])
def test_what_is_no_rule_is_counted_in_time(text):
    with pytest.raises(ValueError, match=r"grammar=.* cannot be used|rules"):
        BlankConstraint(grammar=text)


def test_the_longest_chain_of_rules_is_compiled():
    rules = "\n".join(f"r{number}: r{number + 1}" for number in range(998))
    assert accepts(read_grammar(f'start: r0\n{rules}\nr998: "a"'), "a")


def test_a_schema_is_kept_as_json():
    """Constraints are hashed and compared, and a dict that changes later changes nothing."""
    given_ = {"type": "integer"}
    asked = BlankConstraint(json_schema=given_)
    assert asked == BlankConstraint(json_schema='{"type": "integer"}')
    assert hash(asked) == hash(BlankConstraint(json_schema=dict(given_)))
    given_["type"] = "string"
    assert asked.accepts("12")
    assert not asked.accepts('"a"')


def test_other_white_space_of_json_can_be_asked_for():
    asked = {"type": "array", "items": {"type": "null"}, "x-guidance": {"whitespace_flexible": False}}
    assert BlankConstraint(json_schema={**asked, "x-guidance": {"whitespace_pattern": "  "}}).accepts("[  null]")
    assert not BlankConstraint(json_schema=asked).accepts("[  null]")


def test_the_vocabulary_is_prepared_once_for_its_tokens(tokenizer):
    first = vocabulary_tokenizer(tokenizer, len(tokenizer))
    assert vocabulary_tokenizer(tokenizer, len(tokenizer)) is first
    assert vocabulary_tokenizer(tokenizer, len(tokenizer) + 8) is not first
    assert first.vocab_size == len(tokenizer) + 1


@pytest.mark.parametrize("asked", [{"json_schema": {"type": "null"}}, {"grammar": 'start: "a"'}], ids=str)
def test_without_the_library_the_way_to_it_is_named(asked, monkeypatch):
    monkeypatch.setitem(sys.modules, "llguidance", None)
    module._check.cache_clear()
    module.byte_tokenizer.cache_clear()
    with pytest.raises(ImportError, match=r"needs llguidance: pip install 'modeling-glm\[constraints\]'"):
        BlankConstraint(**asked)

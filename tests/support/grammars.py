"""JSON schemas drawn at random, a naive check of values, and walks through constraints with scores drawn at random."""

import json
import re
from typing import Any

import torch
from hypothesis import strategies as st

from modeling_glm import BlankConstraint, GLMTokenizer
from modeling_glm.constraints.factory import Automata
from modeling_glm.constraints.rules import BlankRules

NAMES = st.sampled_from(["a", "name", "is it", "é", 'a "b"', "x1"])
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "year": {"type": "integer", "minimum": 1900, "maximum": 2100}},
    "required": ["name", "year"],
    "additionalProperties": False,
}
SUMS = r"""
start: sum
sum: product | sum "+" product
product: atom | product "*" atom
atom: NUMBER | "(" sum ")"
NUMBER: /[0-9]+/
"""


@st.composite
def integers(draw: Any) -> dict[str, Any]:
    low, high = sorted((draw(st.integers(-200, 200)), draw(st.integers(-200, 200))))
    return {"type": "integer", **draw(st.sampled_from([{}, {"minimum": low}, {"minimum": low, "maximum": high}]))}


@st.composite
def strings(draw: Any) -> dict[str, Any]:
    least, more = draw(st.integers(0, 3)), draw(st.integers(0, 4))
    limits = ({}, {"minLength": least}, {"minLength": least, "maxLength": least + more}, {"pattern": "^[a-f]{2,4}$"})
    return {"type": "string", **draw(st.sampled_from(limits))}


LEAVES = st.one_of(
    st.sampled_from([{"type": "null"}, {"type": "boolean"}, {"type": "number"}, {"const": 7}]),
    st.lists(st.sampled_from(["red", "green", 1, None, "é"]), min_size=1, unique=True).map(lambda of: {"enum": of}),
    integers(),
    strings(),
)


@st.composite
def objects(draw: Any, inner: Any) -> dict[str, Any]:
    properties = draw(st.dictionaries(NAMES, inner, max_size=3))
    required = draw(st.sets(st.sampled_from(sorted(properties)))) if properties else set()
    return {
        "type": "object",
        "properties": properties,
        "required": sorted(required),
        "additionalProperties": False,
    }


@st.composite
def arrays(draw: Any, inner: Any) -> dict[str, Any]:
    least = draw(st.integers(0, 2))
    return {"type": "array", "items": draw(inner), "minItems": least, "maxItems": least + draw(st.integers(0, 2))}


SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        objects(inner), arrays(inner), st.lists(inner, min_size=1, max_size=3).map(lambda any_: {"anyOf": any_})
    ),
    max_leaves=4,
)


def follows(schema: dict[str, Any], value: Any) -> bool:
    """Return whether a value follows a schema of the keywords that are drawn here."""
    if "anyOf" in schema:
        return any(follows(inner, value) for inner in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        allowed = schema.get("enum", [schema.get("const")])
        return any(type(value) is type(known) and value == known for known in allowed)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    match schema["type"]:
        case "null":
            return value is None
        case "boolean":
            return isinstance(value, bool)
        case "number":
            return is_number
        case "integer":
            low, high = schema.get("minimum", -float("inf")), schema.get("maximum", float("inf"))
            return is_number and value == int(value) and low <= value <= high
        case "string":
            return (
                isinstance(value, str)
                and schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", float("inf"))
                and re.search(schema.get("pattern", ""), value) is not None
            )
        case "array":
            return (
                isinstance(value, list)
                and schema["minItems"] <= len(value) <= schema["maxItems"]
                and all(follows(schema["items"], entry) for entry in value)
            )
    return (
        isinstance(value, dict)
        and set(schema["required"]) <= set(value) <= set(schema["properties"])
        and all(follows(schema["properties"][name], entry) for name, entry in value.items())
    )


def walk(
    asked: BlankConstraint, tokenizer: GLMTokenizer, longest: int, seed: int, ends: float = 0.3
) -> tuple[BlankRules, tuple[int, ...]]:
    """
    Follow a constraint with scores drawn at random, as a search does.

    Returns:
        The rules, and the tokens of an answer.
    """
    rules = BlankRules(asked, Automata(tokenizer, len(tokenizer)), longest)
    generator = torch.Generator().manual_seed(seed)
    prefix: tuple[int, ...] = ()
    while True:
        scores = torch.randn(len(tokenizer), generator=generator)
        allowed = rules.allowed(prefix, scores)
        may_stop = rules.may_end(prefix) and float(torch.rand((), generator=generator)) < ends
        if may_stop or not allowed.any():
            return rules, prefix
        prefix = (*prefix, int(scores.masked_fill(~allowed, -torch.inf).argmax()))


def read_json(text: str) -> Any:
    """Read JSON in which no name occurs twice."""

    def read_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs), text
        return dict(pairs)

    return json.loads(text, object_pairs_hook=read_pairs)

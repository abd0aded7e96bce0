"""YAML is read as PyYAML reads it, and what would take for ever is refused at once."""

import time

import pytest
import yaml

from modeling_glm.utils.yaml_text import read_yaml


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: 1\nb: [x, {c: null}]\n",
        "a: &x [1, 2]\nb: *x\nc: [*x, *x]\n",
        "base: &base {a: 1}\nmore:\n  <<: *base\n  b: 2\n",
        "time: 1:30:00\ndate: 2024-01-02\ntext: |\n  two\n  lines\n",
        "- " * 90 + "deep",
        "long: " + "word " * 2000,
    ],
    ids=lambda text: text[:12] or "empty",
)
def test_yaml_is_read(text):
    assert read_yaml(text) == yaml.safe_load(text)


def laughs(levels: int, width: int = 10) -> str:
    lines = ["a0: &a0 [lol]"]
    for level in range(1, levels):
        lines.append(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * width)}]")
    return "\n".join(lines)


def merges(levels: int) -> str:
    """Each merge doubles the number of keys that PyYAML copies."""
    lines = ["a0: &a0 {a: 1}"]
    lines += [f"a{level}: &a{level} {{<<: [*a{level - 1}, *a{level - 1}]}}" for level in range(1, levels)]
    return "\n".join(lines)


HOSTILE = {
    "itself": ("a: &a [*a]", "the value of the anchor 'a' holds itself"),
    "itself in a mapping": ("a: &a {b: {c: *a}}", "holds itself"),
    "itself as a key": ("&a ? *a : 1", "not YAML|found|expected|mapping"),
    "the root": ("&a [1, *a]", "holds itself"),
    "laughs": (laughs(9), "its aliases stand for more than 100,000 values"),
    "merges": (merges(40), "its aliases stand for more than 100,000 values"),
    "deep": ("[" * 100_000, "nested more than 100 deep"),
    "deep mappings": ("{a: " * 100_000, "nested more than 100 deep"),
    "deep lists": ("- " * 100_000, "nested more than 100 deep"),
    "base 60": ("a: " + ":".join(["1"] * 400_000), "it has a number of"),
    "digits": ("a: " + "9" * 1_000_000, "it has a number of 1,000,000 digits"),
    "an object": ("!!python/object/apply:os.system ['true']", "could not determine a constructor"),
    "no number": ("a: !!int ''", "."),
    "no truth": ("a: !!bool x", "."),
    "no time": ("a: !!timestamp x", "."),
    "no date": ("a: 2024-13-45", "month must be in"),
    "two anchors": ("a: &x 1\nb: &x 2\nc: *x\n", "found duplicate anchor"),
    "no anchor": ("a: *b", "undefined alias"),
    "a list as key": ("? [a]\n: 1", "unhashable key"),
    "signs": ("a: \x00", "special characters are not allowed"),
    "open": ("a: [", "expected"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_yaml(kind):
    text, message = HOSTILE[kind]
    start = time.process_time()
    with pytest.raises(ValueError, match=message):
        read_yaml(text)
    assert time.process_time() - start < 3

"""Regular expressions drawn at random, in the syntax of Rust and in Python's, and naive references for automata."""

import json
import re
from collections.abc import Mapping
from itertools import count
from random import Random

import numpy as np

from modeling_glm.constraints import byte_table
from modeling_glm.constraints.byte_table import ByteAutomaton
from modeling_glm.constraints.compile_bytes import compile_pattern
from modeling_glm.constraints.pattern_syntax import read_pattern

# What one character can be, in Rust's syntax and in Python's.
ATOMS = [
    *((character, character) for character in "abc 7_-é中"),
    *((text, text) for text in ("[a-c]", "[^a]", ".", r"\w", r"\d", r"\s", r"\W", "[0-9]", r"\.", "[é-ü]", r"[\w-]")),
    ("[[:alpha:]]", "[A-Za-z]"),
    ("[a-z&&[^aeiou]]", "[b-df-hj-np-tv-z]"),
    (r"\x{e9}", "é"),
    (r"[^\n\r]", r"[^\n\r]"),
    (r"\n", r"\n"),
]
# What holds between two characters.
PLACES = [
    *(("^", r"\A"), (r"\A", r"\A"), ("$", r"\Z"), (r"\z", r"\Z")),
    *((r"\b", r"\b"), (r"\B", r"(?:(?<=\w)(?=\w)|(?<!\w)(?!\w))")),  # Python's \B is false in an empty text
    *((r"(?-u:\b)", r"(?a:\b)"), ("(?m:^)", "(?m:^)"), ("(?m:$)", "(?m:$)")),
    *((r"\b{start}", r"\b(?=\w)"), (r"\b{end}", r"\b(?<=\w)")),
    *((r"\b{start-half}", r"(?<!\w)"), (r"\b{end-half}", r"(?!\w)")),
]
COUNTS = ["?", "*", "+", "{2}", "{0,2}", "{1,}", "*?"]
ALPHABET = "abc 7_-.éü中\n\rz"


def draw_pattern(random: Random, depth: int = 3, places: float = 0.15) -> tuple[str, str]:
    """Draw an expression in the syntax of Rust, and the same in Python's. `places` is the share of anchors."""
    if random.random() < places:
        return random.choice(PLACES)
    kind = random.random() if depth else 0.0
    if kind < 0.35:
        return random.choice(ATOMS)
    inner = [draw_pattern(random, depth - 1, places) for _ in range(random.randint(1, 3))]
    rust, python = zip(*inner, strict=True)
    if kind < 0.65:
        return "".join(rust), "".join(python)
    if kind < 0.8:
        start = random.choice(["(", "(?:", "(?s:"])
        return f"{start}{'|'.join(rust)})", f"{start}{'|'.join(python)})"
    times = random.choice(COUNTS)
    return f"(?:{''.join(rust)}){times}", f"(?:{''.join(python)}){times}"


def draw_text(random: Random) -> str:
    return "".join(random.choice(ALPHABET) for _ in range(random.choice([0, 1, 1, 2, 2, 3, 4, 6])))


def accepts(python: str, text: str) -> bool:
    """Whether an expression in Python's syntax matches a whole text, or all of it behind a space."""
    # A text on its own: look-behind must not see the space.
    return any(re.fullmatch(python, part) is not None for part in {text, text[1:] if text[:1] == " " else text})


def compile_here(pattern: str) -> ByteAutomaton | None:
    """Compile in this process, without limits. Returns None if nothing can match."""
    syntax = read_pattern(pattern)
    classes, automaton, start = compile_pattern(
        syntax.pattern, sorted(syntax.assertions), excludes_marks=syntax.excludes_marks
    )
    told = {"states": len(automaton.finals), "classes": len(automaton.columns), "start": start}
    arrays = bytes(classes) + bytes(automaton.finals) + b"".join(column.tobytes() for column in automaton.columns)
    found = byte_table._read(json.loads(json.dumps(told)), arrays)
    return found if isinstance(found, ByteAutomaton) else None


class NaiveTokens:
    """Follow an automaton over bytes token by token, one state, one token and one byte at a time."""

    def __init__(self, automaton: ByteAutomaton, tokens: Mapping[int, bytes]):
        self.automaton = automaton
        self.tokens = tokens
        states = range(len(automaton.finals))
        self.after = {state: {token: self.walk(state, text) for token, text in tokens.items()} for state in states}
        self.least = {state: 0 for state in states if automaton.finals[state]}
        for steps in count(1):
            new = [s for s in states if s not in self.least and self.least.keys() & set(self.after[s].values())]
            self.least.update(dict.fromkeys(new, steps))
            if not new:
                break

    def walk(self, state: int, text: bytes) -> int:
        for byte in text:
            state = int(self.automaton.table[state, self.automaton.classes[byte]])
        return state

    def allowed(self, prefix: tuple[int, ...], room: int) -> set[int]:
        state = self.automaton.start
        for token in prefix:
            state = self.after[state][token]
        return {token for token, after in self.after[state].items() if self.least.get(after, np.inf) < room}

"""Patterns, valid and hostile: each is answered or refused in words, in time and memory."""

import time
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
import torch

from modeling_glm import BlankConstraint, GLMForConditionalGeneration, GLMTokenizer, fill_blanks
from modeling_glm.constraints.factory import Automata
from modeling_glm.filling.results import Filling
from tests.support.models import make_text_model
from tests.support.patterns import accepts, draw_pattern, draw_text

pytest.importorskip("outlines_core")
MOST_SECONDS = 2.0  # of this process; the other has a limit of its own
MOST_WAITING = 20.0
MB = 2**20
SPECIAL = [
    *"()[]{}|*+?^$\\.-&~#,:<>!=",
    "(?",
    "[^",
    "[[:",
    ":]",
    "&&",
    "--",
    r"\b",
    r"\p{",
    r"\x{",
    "(?-u:",
    "{9}",
    "{99}",
    "{9999}",
]
HOSTILE = [
    "[0-9]{100000}",
    "((((a{100}){100}){100}){100})",
    "(a|b)*a(a|b){20}",
    r"\w{200}",
    r"(\w{50}\s){50}",
    "(" * 5000 + ")" * 5000,
    "[" * 5000,
    "(?:" * 240 + "a" + "){9}" * 240,
    r"(?i)\p{L}{300}",
    "|".join(f"w{number}x{number * 7}" for number in range(10_000)),
    r"\b" * 3000,
    r"(\b\w*\B\W*){40}",
    "a{4294967295}",
    "(?x)" + " # x\n" * 20_000,
    ".*" * 500,
    "\x00" * 1000,
]


@pytest.fixture(scope="module")
def model(tokenizer) -> GLMForConditionalGeneration:
    return make_text_model(tokenizer)


def draw_hostile(random: Random) -> str:
    """Draw a known trap, or signs at random, or a valid expression with a sign put somewhere."""
    kind = random.random()
    if kind < 0.3:
        return random.choice(HOSTILE)
    if kind < 0.6:
        return "".join(random.choice([*SPECIAL, *"abz09 é中\ud800\x00\n"]) for _ in range(random.randint(1, 30)))
    pattern = draw_pattern(random)[0] * random.choice([1, 1, 3])
    place = random.randint(0, len(pattern))
    return pattern[:place] + random.choice(SPECIAL) * random.choice([1, 2, 20]) + pattern[place:]


def answer(call: Callable[..., Any], *args: Any) -> tuple[Any, str]:
    """Call a function. Returns its result and "", or None and why it refuses."""
    try:
        return call(*args), ""
    except ValueError as error:
        return None, str(error)


def first_mask(tokenizer: GLMTokenizer, pattern: str) -> torch.Tensor:
    asked = BlankConstraint(regex=pattern)
    return Automata(tokenizer, len(tokenizer)).regex(asked.regex).allowed((), 20)


def test_hostile_patterns_are_answered_or_refused(stress, tokenizer):
    for case in stress.cases(150, smoke=4, memory=500 * MB):
        with case:
            pattern = draw_hostile(case.random)
            begun, waited = time.process_time(), time.monotonic()
            _, why = answer(first_mask, tokenizer, pattern)
            assert why.startswith("regex=") or not why
            assert time.process_time() - begun < MOST_SECONDS
            assert time.monotonic() - waited < MOST_WAITING


def test_valid_patterns_mean_what_re_says(stress, model, tokenizer):
    for case in stress.cases(150, smoke=4, memory=500 * MB):
        with case:
            rust, python = draw_pattern(case.random)
            asked = BlankConstraint(regex=rust)
            texts = [draw_text(case.random) for _ in range(20)]
            expected = [text for text in texts if accepts(python, text)]
            if why := answer(asked.accepts, "")[1]:
                assert "which is the limit" in why or ("matches no text" in why and not expected), (rust, why)
                continue
            assert [text for text in texts if asked.accepts(text)] == expected, rust
            found, why = answer(fill, model, tokenizer, asked)
            assert found or "cannot form an answer" in why or "asks for at least" in why, (rust, why)
            answers = [filling.answers[0].text.literal for filling in found or ()]
            assert all(asked.accepts(text) for text in answers), rust
            # Beyond ASCII both mean other characters by \w: in Rust those that combine are among them.
            assert all(accepts(python, text) for text in answers if text.isascii()), rust


def fill(model: GLMForConditionalGeneration, tokenizer: GLMTokenizer, asked: BlankConstraint) -> list[Filling]:
    return fill_blanks(model, tokenizer, "The [MASK] fox.", 2, constraints=asked, max_new_tokens_per_blank=6)

"""
Decide with an automaton over bytes which texts a regular expression matches, within limits of time and memory.

Constraining answers and accepting them both use this automaton, so they cannot disagree.
"""

import functools
import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .pattern_syntax import SYNTAX, PatternError, Syntax, read_pattern, show_pattern

# The limits of one expression. They hold wherever a pattern is taken: in Python, on the command line, on the page.
MOST_CHARACTERS = 2**18
MOST_SECONDS = 1.0  # of a processor
MOST_WAITING = 30.0  # seconds, on a busy machine
MOST_MEMORY = 400 * 2**20  # bytes
MOST_STATES = 50_000
MOST_CELLS = 4_000_000  # states times classes of bytes

INSTALL_REGEX = "pip install 'modeling-glm[constraints]'"
SMALLER = "Use smaller counts, + or * with max_new_tokens, or `choices` for a list of answers"
DEAD = 0
FAR = np.iinfo(np.int32).max  # no end can be reached
_SCRIPT = Path(__file__).with_name("compile_bytes.py")
_TIME_IS_UP = {-getattr(signal, name) for name in ("SIGPROF", "SIGXCPU") if hasattr(signal, name)}
_NO_MEMORY = {-getattr(signal, name) for name in ("SIGABRT", "SIGKILL", "SIGSEGV", "SIGBUS") if hasattr(signal, name)}


@dataclass(frozen=True)
class ByteAutomaton:
    """
    Hold a deterministic automaton over the bytes of an answer in UTF-8. A space may come first.

    Every state but the dead one, 0, leads to a match.

    Attributes:
        start: The state at the start.
        classes: (256,) uint8, the class of every byte. Bytes of a class lead to the same states.
        table: (states, classes) int32, the next state.
        finals: (states,) bool, whether the answer may end.
    """

    start: int
    classes: np.ndarray
    table: np.ndarray
    finals: np.ndarray

    @functools.cached_property
    def _rows(self) -> tuple[bytes, list[list[int]]]:
        return self.classes.tobytes(), self.table.tolist()

    def follow(self, state: int, text: bytes) -> int:
        """Find the state behind a text."""
        classes, rows = self._rows
        for number in text.translate(classes):
            state = rows[state][number]
            if not state:
                break
        return state

    def accepts(self, text: str) -> bool:
        """Return whether the expression matches a whole text, or all of it behind a space."""
        return bool(self.finals[self.follow(self.start, text.encode("utf-8", "surrogatepass"))])


def compile_bytes(pattern: str) -> ByteAutomaton:
    """
    Compile a regular expression.

    A process of its own builds the automaton, because the engine cannot be stopped: its time and memory are limited. The
    last automata are kept.

    Args:
        pattern: The expression.

    Raises:
        ValueError: If it is not an expression of Rust's syntax, if it matches nothing, or if it exceeds a limit.
        ImportError: If the engine is not installed.
    """
    with _lock_of(pattern):  # threads that ask for the same expression build it once
        found = _build(pattern)
    if isinstance(found, str):
        raise ValueError(f"regex={show_pattern(pattern)} {found}")
    return found


def check_syntax(pattern: str) -> Syntax:
    """
    Check the outline of an expression, which takes no process.

    Raises:
        ValueError: If it is not an expression of Rust's syntax, or longer than the limit.
    """
    if len(pattern) > MOST_CHARACTERS:
        raise ValueError(f"regex={show_pattern(pattern)} is longer than {MOST_CHARACTERS:,} characters. {SMALLER}.")
    try:
        return read_pattern(pattern)
    except PatternError as error:
        raise ValueError(f"regex={show_pattern(pattern)} is not a regular expression: {error}") from None


@functools.lru_cache(maxsize=1024)
def _lock_of(pattern: str) -> threading.Lock:
    return threading.Lock()


@functools.lru_cache(maxsize=32)
def _build(pattern: str) -> ByteAutomaton | str:
    """Build an automaton, or say why there is none. Both are kept."""
    syntax = check_syntax(pattern)
    asked = {
        "pattern": syntax.pattern,
        "assertions": sorted(syntax.assertions),
        "alphabet": None if syntax.alphabet is None else sorted(syntax.alphabet),
        "excludes_marks": syntax.excludes_marks,
        "path": _path_of_engine(),
        "seconds": MOST_SECONDS,
        "memory": MOST_MEMORY,
        "states": MOST_STATES,
        "cells": MOST_CELLS,
    }
    code, output = _run(pattern, json.dumps(asked).encode())
    if code in _TIME_IS_UP:
        return f"takes more than {MOST_SECONDS:g} seconds to prepare, which is the limit. {SMALLER}."
    if code in _NO_MEMORY:
        return f"takes more than {MOST_MEMORY // 2**20} MB to prepare, which is the limit. {SMALLER}."
    header, _, arrays = output.partition(b"\n")
    if code or not header:
        raise RuntimeError(f"regex={show_pattern(pattern)} could not be prepared: its process ended with code {code}.")
    told = json.loads(header)
    if "refused" in told:
        return _explain(told["refused"], syntax)
    return _read(told, arrays)


def _explain(reason: str, syntax: Syntax) -> str:
    if reason == "memory":
        return f"takes more than {MOST_MEMORY // 2**20} MB to prepare, which is the limit. {SMALLER}."
    if reason == "states":
        return (
            f"has an automaton of more than {MOST_STATES:,} states or {MOST_CELLS:,} transitions, which is the limit. "
            f"{SMALLER}."
        )
    if reason == "empty":
        return "matches no text, or has a part that matches none: an empty class, or an anchor that cannot hold."
    hints = []
    if syntax.is_bytewise:
        hints.append("(?-u) must match whole characters: write (?-u:[a-z]), but not (?-u:.) or (?-u:[^a])")
    if syntax.depth > 50:
        hints.append(f"its groups are nested {syntax.depth} deep")
    hints.append("look for names of groups that occur twice, ranges that run backwards, unknown properties")
    return f"is not a regular expression, or is too large: {'; '.join(hints)}. {SYNTAX}."


def _path_of_engine() -> str:
    found = importlib.util.find_spec("outlines_core")
    if found is None or found.origin is None:
        raise ImportError(f"Regular expressions for blanks need outlines-core: {INSTALL_REGEX}.")
    return str(Path(found.origin).parent.parent)


class _Turns:
    """Let few processes run at once, also in a child that a fork made while some ran."""

    def __init__(self):
        self.reset()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.reset)

    def reset(self):
        self.turn = threading.BoundedSemaphore(max(2, (os.cpu_count() or 2) // 2))
        _lock_of.cache_clear()


_TURNS = _Turns()


def _run(pattern: str, given: bytes) -> tuple[int, bytes]:
    """Run the script. Returns its exit code and its output."""
    if not sys.executable:
        raise RuntimeError("Regular expressions are prepared by a second Python, but sys.executable is empty: set it.")
    with _TURNS.turn:
        try:
            ended = subprocess.run(
                [sys.executable, "-I", "-S", str(_SCRIPT)],
                input=given,
                capture_output=True,
                timeout=MOST_WAITING,
                check=False,
            )
        except subprocess.TimeoutExpired:
            # The next call tries again: on an idle machine, the process ends by its own limit long before.
            raise ValueError(
                f"regex={show_pattern(pattern)} was not prepared within {MOST_WAITING:g} seconds: the machine is busy, or "
                "the expression is too large."
            ) from None
        except OSError as error:
            raise RuntimeError(
                f"Regular expressions are prepared by a second Python, but {sys.executable} cannot be started: {error}."
            ) from error
    return ended.returncode, ended.stdout


def _read(told: dict[str, int], arrays: bytes) -> ByteAutomaton | str:
    """Read the arrays of the script, and leave out the ways that lead to no match."""
    states, classes = told["states"], told["classes"]
    of_bytes = np.frombuffer(arrays, np.uint8, 256)
    finals = np.frombuffer(arrays, np.bool_, states, 256)
    columns = (
        np.frombuffer(arrays, np.uint32, states * classes, 256 + states).reshape(classes, states).astype(np.int32)
    )
    sources = np.broadcast_to(np.arange(states), columns.shape)[columns != DEAD]
    columns[distances(sources, columns[columns != DEAD], finals)[columns] == FAR] = DEAD
    if not finals[told["start"]] and not columns[:, told["start"]].any():
        return _explain("empty", Syntax("", frozenset(), None, 0, False, False))
    numbers: dict[bytes, int] = {}
    merged = np.array([numbers.setdefault(column.tobytes(), len(numbers)) for column in columns], np.uint8)
    kept = [int(np.flatnonzero(merged == number)[0]) for number in numbers.values()]
    return ByteAutomaton(told["start"], merged[of_bytes], np.ascontiguousarray(columns[kept].T), finals.copy())


def distances(sources: np.ndarray, targets: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """
    Find the least number of steps from each state to an end, by a search back from the ends.

    Args:
        sources, targets: (steps,) int, the states that each step connects.
        ends: (states,) bool.

    Returns:
        (states,) int32, FAR where no end can be reached.
    """
    order = np.argsort(targets.astype(np.uint16) if len(ends) <= 2**16 else targets, kind="stable")  # radix sort
    sources = sources[order]
    begins = np.concatenate([[0], np.cumsum(np.bincount(targets, minlength=len(ends)))])
    found = np.where(ends, 0, FAR).astype(np.int32)
    edge = np.flatnonzero(ends)
    step = 0
    while len(edge):
        step += 1
        before = sources[spread(begins[edge], begins[edge + 1])[1]]
        edge = np.unique(before[found[before] == FAR])
        found[edge] = step
    return found


def spread(begins: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """
    List the places of several ranges: the number of the range of each place, and the place.

        [0 7], [2 9] -> [0 0 1 1], [0 1 7 8]
    """
    lengths = ends - begins
    owners = np.repeat(np.arange(len(begins)), lengths)
    return owners, np.arange(len(owners)) + np.repeat(begins - np.cumsum(lengths) + lengths, lengths)

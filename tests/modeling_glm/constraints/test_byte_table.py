"""Expressions are compiled in a process with limits, once."""

import os
import threading
import time

import numpy as np
import pytest

from modeling_glm.constraints import byte_table
from modeling_glm.constraints.byte_table import FAR, compile_bytes, distances, spread

pytest.importorskip("outlines_core")


@pytest.fixture(autouse=True)
def _fresh():
    byte_table._build.cache_clear()
    yield
    byte_table._build.cache_clear()


def test_process_gives_what_it_compiles():
    automaton = compile_bytes("^(19|20)[0-9]{2}$")
    assert [automaton.accepts(text) for text in ("1987", " 2024", "1887", "19", "\ud800")] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert automaton.table.shape[1] < 12


@pytest.mark.parametrize("pattern", ["[0-9]{100000}", "(((a{100}){100}){100}){9}", "(a|b)*a(a|b){20}"])
def test_hostile_expressions_are_refused_in_time(pattern, monkeypatch):
    monkeypatch.setattr(byte_table, "MOST_SECONDS", 0.3)
    start = time.monotonic()
    for _ in range(3):  # the refusal is kept
        with pytest.raises(ValueError, match="to prepare, which is the limit") as caught:
            compile_bytes(pattern)
        assert repr(pattern) in str(caught.value)
    assert time.monotonic() - start < 10  # on a busy machine


def test_memory_has_a_limit(monkeypatch):
    monkeypatch.setattr(byte_table, "MOST_MEMORY", 80 * 2**20)
    monkeypatch.setattr(byte_table, "MOST_SECONDS", 20)
    with pytest.raises(ValueError, match="takes more than 80 MB to prepare, which is the limit"):
        compile_bytes("[ab]{9000}(a|b)*a(a|b){14}")


@pytest.mark.parametrize(("name", "value"), [("MOST_STATES", 50), ("MOST_CELLS", 50)])
def test_size_has_a_limit(monkeypatch, name, value):
    monkeypatch.setattr(byte_table, name, value)
    with pytest.raises(ValueError, match=r"regex='\[ab\]\{60\}' has an automaton of more than .* the limit"):
        compile_bytes("[ab]{60}")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("a^", "matches no text"),
        ("[a&&b]", "matches no text, or has a part that matches none"),
        ("(?-u:.)", r"\(\?-u\) must match whole characters"),
        ("(" * 300 + ")" * 300, "nested 300 deep"),
        ("[z-a]", "ranges that run backwards"),
        ("a" * 2**19, "longer than 262,144 characters"),
        ("(a", "is not a regular expression: the group"),
    ],
)
def test_what_is_wrong_is_said(pattern, message):
    with pytest.raises(ValueError, match=message):
        compile_bytes(pattern)


def test_threads_build_one_expression_once(monkeypatch):
    runs, found = [], []
    run = byte_table._run
    monkeypatch.setattr(byte_table, "_run", lambda *given: runs.append(given) or run(*given))
    threads = [threading.Thread(target=lambda: found.append(compile_bytes("[0-9]{3}"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(runs) == 1
    assert len({id(automaton) for automaton in found}) == 1


def test_busy_machine_is_told_and_not_kept(monkeypatch):
    monkeypatch.setattr(byte_table, "MOST_WAITING", 0.0)
    with pytest.raises(ValueError, match="was not prepared within 0 seconds"):
        compile_bytes("[0-9]{5}")
    monkeypatch.undo()
    assert compile_bytes("[0-9]{5}").accepts("12345")


def test_python_that_cannot_start_is_named(monkeypatch):
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with pytest.raises(RuntimeError, match="/nowhere/python cannot be started"):
        compile_bytes("[0-9]{6}")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_fork_while_a_process_runs(monkeypatch):
    """A child does not wait for the threads of its parent."""
    for _ in range(byte_table._TURNS.turn._initial_value):
        byte_table._TURNS.turn.acquire()
    child = os.fork()
    if not child:
        os._exit(0 if compile_bytes("[0-9]{7}").accepts("1234567") else 1)
    try:
        assert os.waitpid(child, 0)[1] == 0
    finally:
        byte_table._TURNS.reset()


def test_distances_are_the_fewest_steps():
    #  1 -> 2 -> 3 (end), 1 -> 3, 4 -> 4
    found = distances(np.array([1, 2, 1, 4]), np.array([2, 3, 3, 4]), np.array([False, False, False, True, False]))
    assert found.tolist() == [FAR, 1, 1, 0, FAR]


def test_ranges_are_spread():
    owners, places = spread(np.array([0, 7, 4]), np.array([2, 9, 4]))
    assert (owners.tolist(), places.tolist()) == ([0, 0, 1, 1], [0, 1, 7, 8])

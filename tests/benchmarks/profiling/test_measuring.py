"""Profiles against known work."""

from types import SimpleNamespace

import pytest
import torch

from benchmarks.harness.shapes import TINY
from benchmarks.profiling import measuring
from benchmarks.profiling.categories import CATEGORIES, MATMULS, PYTHON, SUMS
from benchmarks.profiling.measuring import Piece, measure_work, pieces_of, profile_once, profile_parts
from benchmarks.profiling.works import Work


def event(name: str, start: float, end: float, *children: SimpleNamespace) -> SimpleNamespace:
    time_range = SimpleNamespace(start=start * 1e6, end=end * 1e6)
    return SimpleNamespace(name=name, time_range=time_range, cpu_children=list(children), input_shapes=[])


def test_pieces_are_what_lies_between_the_calls():
    linear = event("aten::linear", 2, 7, event("aten::addmm", 3, 6))
    root = event("the whole work", 0, 10, linear, event("aten::add", 8, 9))
    found = list(pieces_of(root, vocabulary=7))
    assert sum(piece.seconds for piece in found) == pytest.approx(10)
    assert [piece.seconds for piece in found if piece.operator == "the whole work"] == pytest.approx([2, 1, 1])
    assert [piece.seconds for piece in found if piece.operator == "linear"] == pytest.approx([1, 1])
    assert [piece for piece in found if piece.category not in (PYTHON,)] == [
        Piece(SUMS, "add", 1.0),
        Piece(MATMULS, "addmm", 3.0),
    ]


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        # Of equal rounds the best time of each call: 1 second before the matmul, 2 in it, 1 behind it.
        (event("the whole work", 0, 10, event("aten::mm", 4, 6)), {MATMULS: 2, PYTHON: 2}),
        (event("the whole work", 0, 9, event("aten::add", 1, 9)), {SUMS: 8, PYTHON: 1}),  # else the best round
    ],
    ids=["equal", "different"],
)
def test_best_times_count(second, expected, monkeypatch):
    rounds = iter([event("the whole work", 0, 10, event("aten::mm", 1, 9)), second])
    monkeypatch.setattr(measuring, "profile_once", lambda run: next(rounds))
    found = profile_parts(lambda: None, vocabulary=7, rounds=2)
    assert list(found.categories) == list(CATEGORIES)
    assert {name: seconds for name, seconds in found.categories.items() if seconds} == pytest.approx(expected)


def test_pieces_of_a_real_profile_are_all_of_its_time():
    left = torch.ones(256, 256)
    root = profile_once(lambda: left @ left + left)
    found = list(pieces_of(root, vocabulary=7))
    assert sum(piece.seconds for piece in found) == pytest.approx(root.time_range.elapsed_us() / 1e6, rel=1e-3)
    assert {"mm", "add", "matmul", "the whole work"} <= {piece.operator for piece in found}


def test_a_work_is_measured(machine):
    left, calls = torch.ones(64, 64), []
    work = Work(title="a matmul", run=lambda: calls.append(left @ left), shape=TINY, vocabulary=7)
    found, parts = measure_work(work, machine, rounds=2)
    assert len(calls) == 2 + 2 + 2 + 1
    assert found.title == "a matmul"
    assert found.least.flops == 2 * 64**3
    assert found.least.compute_seconds == 2 * 64**3 / 3e11
    assert sum(found.shares.values()) == pytest.approx(1)
    assert found.profiled_seconds == parts.total
    assert 0 < found.seconds < 10

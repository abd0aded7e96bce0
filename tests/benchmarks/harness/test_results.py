"""Kinds of results, their tables and their file."""

import pytest

from benchmarks.harness.results import KINDS, Memory, Results, Speed, show, show_ratio


def test_ratio_is_the_median_of_the_rounds():
    speed = Speed.from_seconds("a step", "GPT-2", ours=[1.0, 2.0, 4.0], theirs=[3.0, 4.0, 4.0])
    assert speed == Speed(work="a step", peer="GPT-2", ratio=2.0, low=1.0, high=3.0, ours=2.0, theirs=4.0)


def test_every_kind_fills_its_columns(results):
    shown = [result for found in results.suites.values() for result in found]
    assert {type(result) for result in shown} == set(KINDS.values())
    assert all(len(result.cells) == len(result.columns) > result.keys for result in shown)


@pytest.mark.parametrize(
    ("suite", "number", "cells", "summary"),
    [
        ("training", 0, ("a step", "GPT-2", "2.00", "1.00 to 3.00", "2", "4"), "2.00 times as fast"),
        ("training", 1, ("a step", "GPT-2", "50%", "1", "2"), "50% of the memory"),
        ("training", 2, ("a step", "matmul peak in fp32", "50%", "1.5"), "50% of the matmul peak in fp32"),
        ("quantization", 0, ("int8", "40", "72.5%", "75.0%", "0.610", "0.600"), "exact match 72.5% against 75.0%"),
        ("growth", 0, ("a step", "layers", "3, 6", "0.81", "0.93"), "exponent 0.81"),
        (
            "memory",
            0,
            ("fill a text", "2,000", "2.0", "1.00", "0.25"),
            "grown by 2.0 MiB over 2,000 times",
        ),
        ("starting", 0, ("an import", "4 s"), "4 s"),
        ("starting", 1, ("padding", "5.0%"), "5.0%"),
    ],
)
def test_results_are_shown(results, suite, number, cells, summary):
    result = results.suites[suite][number]
    assert (result.cells, result.summary) == (cells, summary)


def test_file_holds_all_of_it(results, tmp_path):
    path = tmp_path / "new" / "results.json"
    results.write(path)
    assert Results.read(path) == results
    assert [file.name for file in path.parent.iterdir()] == ["results.json"]


def test_results_are_found_by_work_and_peer(results):
    assert results.find("training", Memory, "a step", "GPT-2") is results.suites["training"][1]
    assert results.find("training", Memory, "a step", "BERT") is None
    assert results.find("decoding", Memory, "a step", "GPT-2") is None


def test_numbers_are_rounded():
    assert [show(number) for number in (0.02194, 1.954, 37.46, 1234.5)] == ["0.0219", "1.95", "37.5", "1,234"]
    assert [show_ratio(number) for number in (0.268, 2.0, 10.354)] == ["0.27", "2.00", "10.4"]

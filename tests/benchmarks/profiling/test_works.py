"""The work that is profiled, at its small size."""

import pytest

from benchmarks.profiling import works
from benchmarks.profiling.categories import ATTENTION, DROPOUT, LOSS, MATMULS, NORM, OPTIMIZER, OTHER, VOCABULARY
from benchmarks.profiling.measuring import profile_parts
from benchmarks.profiling.works import SIZES, WORKS

FORWARD = {MATMULS, VOCABULARY, ATTENTION, NORM}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "count", "expected"),
    [
        ("training", 1, {*FORWARD, LOSS, OPTIMIZER, DROPOUT}),
        ("decoding", 2, {*FORWARD, LOSS}),
        ("filling", 1, {*FORWARD, LOSS}),
        ("scoring", 1, {*FORWARD, LOSS}),
    ],
)
def test_operators_of_all_work_have_a_category(name, count, expected, monkeypatch):
    monkeypatch.setattr(works, "make_texts", lambda count: [f"The number {n} is [MASK]." for n in range(count)])
    prepared = WORKS[name](SIZES["tiny"])
    assert len({work.title for work in prepared}) == count
    for work in prepared[:1]:
        work.run()
        parts = profile_parts(work.run, work.vocabulary, rounds=1)
        assert parts.categories[OTHER] < 0.03 * parts.total
        assert {category for category, seconds in parts.categories.items() if seconds} >= expected
        assert sum(parts.operators.values()) == pytest.approx(parts.total)


def test_work_of_the_base_size_fits_its_model():
    size = SIZES["base"]
    assert not size.quick
    assert all(length + size.new_tokens <= size.shape.positions for _, length in size.decoding)

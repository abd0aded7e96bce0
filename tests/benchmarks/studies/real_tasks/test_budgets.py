"""What each row trains on."""

from collections import Counter

import pytest

from benchmarks.studies.real_tasks.budgets import (
    ALL,
    FEW,
    SHOTS,
    ZERO,
    Budget,
    budget_of,
    data_of_row,
    data_of_search,
)
from examples.corpora.real_tasks import REAL_TASKS
from modeling_glm import PatternVerbalizer
from modeling_glm.cloze.sources import ClozeData


@pytest.fixture
def large() -> ClozeData:
    """More examples than a row with few shots reports on."""
    examples = [{"text": f"text {number}", "label": "ab"[number % 2]} for number in range(4500)]
    task = PatternVerbalizer("{text} [MASK]", {"a": "a", "b": "b"})
    return ClozeData("sms_spam", task, examples[:2000], examples[2000:3000], examples[3000:])


def test_every_row_has_a_budget():
    found = {(task, shots): budget_of(task, shots) for task in REAL_TASKS for shots in SHOTS}
    assert found["trec", ZERO] == Budget(epochs=0, batch_size=32)
    steps = {int(shots) * budget.epochs // budget.batch_size for shots, budget in FEW.items()}
    assert steps == {80}
    assert all(found[task, ALL].epochs >= 1 for task in REAL_TASKS)


def test_examples_of_rows(large):
    zero, few, other, every = (
        data_of_row(large, shots, seed) for shots, seed in ((ZERO, 0), ("32", 0), ("32", 1), (ALL, 0))
    )
    assert (len(zero.train), len(zero.validation), len(zero.test)) == (0, 0, 1000)
    assert Counter(example["label"] for example in few.train) == {"a": 16, "b": 16}
    assert (len(few.validation), few.train != other.train) == (32, True)
    assert zero.test == few.test == other.test != large.test[:1000]
    assert (every.train, every.validation, every.test) == (large.train, large.validation, few.test)


def test_examples_of_searches(large):
    few, every = (data_of_search(large, shots, 0) for shots in ("128", ALL))
    row = data_of_row(large, "128", 0)
    assert (few.train, few.validation, few.test) == (row.train, row.validation, [])
    assert (len(every.train), len(every.validation), every.test) == (1000, 400, [])
    assert all(example in large.train for example in every.train)

"""A tenth of the rows, the same in any order."""

import random

import pytest

from modeling_glm.utils.splits import hold_out


def test_a_tenth_is_held_out_whatever_the_order():
    rows = [{"text": f"{label} {number}"} for label, count in (("a", 60), ("b", 43)) for number in range(count)]
    kept, held_out = hold_out(rows)
    assert (len(kept), len(held_out)) == (93, 10)
    assert [row for row in rows if row in kept] == kept
    shuffled = random.Random(0).sample(rows, len(rows))
    assert {row["text"] for row in hold_out(shuffled)[1]} == {row["text"] for row in held_out}
    assert hold_out([]) == ([], [])


def test_rows_that_are_equal_in_some_fields_stay_together():
    rows = [{"id": number, "side": side} for number in range(40) for side in "ab"]
    train, held_out = hold_out(rows, by=["id"])
    assert len(held_out) == 8
    assert not {row["id"] for row in train} & {row["id"] for row in held_out}


def test_copies_stay_together():
    rows = [{"text": str(number % 10)} for number in range(100)]
    kept, held_out = hold_out(rows)
    assert not {row["text"] for row in kept} & {row["text"] for row in held_out}


def test_of_few_questions_with_many_rows_one_is_held_out():
    rows = [{"question": number // 5, "answer": number} for number in range(40)]
    kept, held_out = hold_out(rows, by=["question"])
    assert (len(kept), len(held_out)) == (35, 5)
    assert len({row["question"] for row in held_out}) == 1


@pytest.mark.parametrize(
    ("sizes", "count"), [((5, 5), 5), ((12,), 0), ((4, 5), 0), ((1,) * 9, 0), ((1,) * 10, 1)], ids=str
)
def test_few_contents(sizes, count):
    rows = [{"text": content} for content, size in enumerate(sizes) for _ in range(size)]
    kept, held_out = hold_out(rows)
    assert len(held_out) == count
    assert len(kept) == sum(sizes) - count

"""Draws of tasks against those of the originals (golden cloze/multitask.json), their shares, and what is refused."""

import json
import pickle
from collections import Counter

import numpy as np
import pytest

from modeling_glm.tokenization.multitask.draws import TaskMixture, draw_place, task_weights
from tests.support.numbered_tasks import NumberedTask
from tests.support.original_files import read_golden

GOLDEN = json.loads(read_golden("cloze/multitask.json"))
SIZES = list(GOLDEN["sizes"].values())
TASKS = [NumberedTask("toy", 6), NumberedTask("titles", 40)]


def test_weights_of_the_originals():
    np.testing.assert_allclose(task_weights(SIZES), GOLDEN["weights"], rtol=1e-12)
    assert GOLDEN["length"] == 1000 * sum(SIZES)


def test_draws_of_the_originals():
    names, weights = list(GOLDEN["sizes"]), task_weights(SIZES)
    drawn = [names[draw_place(SIZES, weights, number).task] for number in range(len(GOLDEN["first_200_tasks"]))]
    assert drawn == GOLDEN["first_200_tasks"]


def test_small_tasks_and_large_ones():
    assert task_weights([1, 1]).tolist() == [0.5, 0.5]
    assert task_weights([10**9, 200_000]).tolist() == [0.5, 0.5]
    np.testing.assert_allclose(task_weights([32, 1]), [16 / 17, 1 / 17])


def test_draws_are_spread_over_tasks_and_samples():
    """4,000 draws of two tasks: within five standard deviations of their shares."""
    sizes = [320, 10]
    weights = task_weights(sizes)
    drawn = [draw_place(sizes, weights, number) for number in range(4000)]
    share = sum(place.task == 0 for place in drawn) / len(drawn)
    assert abs(share - weights[0]) < 5 * (weights[0] * weights[1] / len(drawn)) ** 0.5
    counts = Counter(place.sample for place in drawn if place.task == 1)
    assert set(counts) == set(range(10))
    expected = counts.total() / 10
    assert max(abs(count - expected) for count in counts.values()) < 5 * expected**0.5


def test_a_draw_is_a_function_of_its_number_and_the_seed():
    mixture = TaskMixture(TASKS, seed=3)
    drawn = [mixture.draw(number) for number in range(60)]
    again = pickle.loads(pickle.dumps(mixture))
    assert [again.draw(number) for number in reversed(range(60))] == drawn[::-1]
    assert [TaskMixture(TASKS, seed=4).draw(number) for number in range(60)] != drawn
    for number, place in enumerate(drawn[:10]):
        assert mixture.encode(number) == TASKS[place.task].encode(place.sample)
    assert {place.task for place in drawn} == {0, 1}


def test_seed_0_draws_as_the_originals():
    sizes = [len(task) for task in TASKS]
    expected = [draw_place(sizes, task_weights(sizes), number) for number in range(20)]
    assert [TaskMixture(TASKS).draw(number) for number in range(20)] == expected


def test_what_is_refused():
    with pytest.raises(ValueError, match="no tasks to draw from"):
        TaskMixture([])
    with pytest.raises(ValueError, match=r"Several tasks are called \['toy'\]"):
        TaskMixture([*TASKS, TASKS[0]])

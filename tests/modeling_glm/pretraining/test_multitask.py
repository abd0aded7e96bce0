"""Which samples of a run are of tasks: against a naive count, resumed, with workers, and as a share."""

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from modeling_glm.pretraining.mixture import BLOCK, InfillingStream, MixtureOrder, Phase
from modeling_glm.pretraining.multitask import MultiTaskOrder, MultiTaskStream
from modeling_glm.tokenization.multitask.draws import TaskMixture
from tests.support.numbered_tasks import NumberedTask


def keep(rows: list[dict]) -> list[dict]:
    return [{name: np.asarray(value).tolist() for name, value in row.items()} for row in rows]


@pytest.fixture
def stream():
    """Makes streams of 40 texts and two tasks, in steps of 4."""
    texts = [Dataset.from_dict({"input_ids": [[number] for number in range(40)]})]
    order = MixtureOrder([40], [Phase(0, (1.0,))], 7)

    def make(ratio=0.25, unit="step", total=80, start=0, seed=7):
        tasks = TaskMixture([NumberedTask("a", 5), NumberedTask("bb", 9)], seed)
        places = MultiTaskOrder(ratio, unit, 4, seed)
        return MultiTaskStream(InfillingStream(texts, order, total), tasks, places, total - start, start)

    return make


@settings(max_examples=50)
@given(
    ratio=st.floats(0.01, 0.99),
    unit=st.sampled_from(["step", "sample"]),
    step_size=st.integers(1, 7),
    seed=st.integers(0, 2**40),
    start=st.integers(0, 5000),
)
def test_places_count_each_kind(ratio, unit, step_size, seed, start):
    order = MultiTaskOrder(ratio, unit, step_size, seed)
    places = [order(number) for number in range(start, start + 60)]
    texts = order.count_texts(start)
    assert 0 <= texts <= start
    seen = {False: texts, True: start - texts}
    for number, place in enumerate(places, start=start):
        assert place.position == seen[place.is_task]
        assert order.count_texts(number) == seen[False]
        seen[place.is_task] += 1
    resumed = MultiTaskOrder(ratio, unit, step_size, seed)
    assert [resumed(number) for number in reversed(range(start, start + 60))] == places[::-1]


@pytest.mark.parametrize("ratio", [0.05, 0.5])
def test_steps_are_of_one_kind_and_have_their_share(ratio):
    order = MultiTaskOrder(ratio, "step", 8, 3)
    kinds = [order(number).is_task for number in range(8 * BLOCK)]
    steps = [set(kinds[start : start + 8]) for start in range(0, len(kinds), 8)]
    assert all(len(step) == 1 for step in steps)
    assert sum(True in step for step in steps) == round(ratio * BLOCK)
    # Not all at once: gaps between steps of tasks vary.
    places = [number for number, step in enumerate(steps) if True in step]
    assert len(set(np.diff(places))) > 2


def test_samples_are_mixed_within_steps():
    order = MultiTaskOrder(0.5, "sample", 8, 3)
    kinds = [order(number).is_task for number in range(BLOCK)]
    assert sum(kinds) == BLOCK // 2
    assert all(0 < sum(kinds[start : start + 64]) < 64 for start in range(0, BLOCK, 64))


def test_other_seeds_have_other_places():
    first, second = (MultiTaskOrder(0.3, "step", 1, seed) for seed in (0, 1))
    assert [first(number).is_task for number in range(100)] != [second(number).is_task for number in range(100)]


@pytest.mark.parametrize("unit", ["step", "sample"])
def test_a_stream_has_texts_and_examples_in_their_order(stream, unit):
    whole = stream(unit=unit)
    rows = keep([whole[number] for number in range(len(whole))])
    texts = [row for row in rows if "labels" not in row]
    examples = [row for row in rows if "labels" in row]
    assert texts
    assert examples
    assert [row["sample_id"] for row in texts] == list(range(len(texts)))
    # Within an epoch of 40 texts each comes once, whatever stands between.
    assert len({row["input_ids"][0] for row in texts[:40]}) == len(texts[:40])
    mixture = TaskMixture([NumberedTask("a", 5), NumberedTask("bb", 9)], 7)
    assert examples == [mixture.encode(number) for number in range(len(examples))]


@pytest.mark.parametrize("start", [1, 12, 37])
def test_a_resumed_stream_goes_on_at_its_sample(stream, start):
    whole, rest = stream(), stream(start=start)
    rows = keep(whole.__getitems__(range(80)))
    assert keep(rest.__getitems__(range(80 - start))) == rows[start:]
    assert keep([rest[0]]) == rows[start : start + 1]
    with pytest.raises(IndexError, match="There is no sample 80: there are 80"):
        whole[80]


def test_workers_and_batch_sizes_change_nothing(stream):
    rows = keep(stream().__getitems__(range(80)))
    for workers, size in ((2, 4), (0, 7)):
        loader = DataLoader(stream(), batch_size=size, num_workers=workers, collate_fn=keep)
        assert [row for batch in loader for row in batch] == rows


def test_what_is_refused():
    for ratio in (0.0, 1.0, -0.1, float("nan")):
        with pytest.raises(ValueError, match="ratio of multi-task training is"):
            MultiTaskOrder(ratio, "step", 1, 0)
    with pytest.raises(ValueError, match="unit of multi-task training is 'batch': expected one of step, sample"):
        MultiTaskOrder(0.1, "batch", 1, 0)
    with pytest.raises(IndexError, match="There is no sample -1"):
        MultiTaskOrder(0.1, "step", 1, 0)(-1)

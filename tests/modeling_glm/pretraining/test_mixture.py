"""The order of the training samples."""

import pickle
from collections import Counter
from itertools import pairwise

import datasets
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch.utils.data import DataLoader

from modeling_glm.pretraining.mixture import BLOCK, InfillingStream, MixtureOrder, Phase, permute

HALVES = (Phase(0, (0.5, 0.5)),)


@st.composite
def orders(draw) -> MixtureOrder:
    corpora = draw(st.integers(1, 5))
    starts = [0, *draw(st.lists(st.integers(1, 1800), max_size=3, unique=True).map(sorted))]
    phases = []
    for start in starts:
        parts = draw(st.lists(st.integers(0, 50), min_size=corpora, max_size=corpora).filter(any))
        phases.append(Phase(start, tuple(part / sum(parts) for part in parts)))
    sizes = draw(st.lists(st.integers(1, 2000), min_size=corpora, max_size=corpora))
    return MixtureOrder(sizes, phases, draw(st.integers(0, 2**70)))


def block_ends(order: MixtureOrder, total: int) -> list[int]:
    """Numbers of samples after which a block is over."""
    starts = [phase.from_sample for phase in order.phases]
    ends = set(starts)
    for start, stop in zip(starts, [*starts[1:], total], strict=True):
        ends |= set(range(start, stop + 1, BLOCK))
    return sorted(end for end in ends if end <= total)


@settings(max_examples=40)
@given(order=orders())
def test_every_corpus_has_its_share(order):
    total = 3000
    samples = [order(number) for number in range(total)]
    expected = np.zeros(len(order.sizes))
    for start, stop in pairwise(block_ends(order, total)):
        phase = [phase for phase in order.phases if phase.from_sample <= start][-1]
        expected += (stop - start) * np.array(phase.weights)
        seen = np.bincount([corpus for corpus, _ in samples[:stop]], minlength=len(order.sizes))
        rounded = len(order.phases) * len(order.sizes) / 2
        assert np.abs(seen - expected).max() <= rounded
        assert order.seen(stop) == tuple(seen)
    for corpus in range(len(order.sizes)):
        if not any(phase.weights[corpus] for phase in order.phases):
            assert corpus not in dict(samples)


@settings(max_examples=40)
@given(order=orders())
def test_an_epoch_has_every_text_once(order):
    """Against the plain way to do it: count the texts of every corpus from the beginning."""
    seen = [[] for _ in order.sizes]
    for number in range(3000):
        corpus, index = order(number)
        seen[corpus].append(index)
    for size, indices in zip(order.sizes, seen, strict=True):
        for start in range(0, len(indices), size):
            epoch = indices[start : start + size]
            assert len(set(epoch)) == len(epoch)
            assert set(epoch) <= set(range(size))


def naive_order(order: MixtureOrder, total: int) -> list[tuple[int, int]]:
    """Walks from the beginning, with a shuffled list for every epoch and a block for the choice of the corpora."""
    positions = [0] * len(order.sizes)
    epochs = [None] * len(order.sizes)
    walked = []
    for number in range(total):
        corpus, _ = order(number)
        size = order.sizes[corpus]
        epoch, position = divmod(positions[corpus], size)
        if position == 0:
            epochs[corpus] = [permute(i, size, (order.seed, 1, corpus, epoch)) for i in range(size)]
        walked.append((corpus, epochs[corpus][position]))
        positions[corpus] += 1
    return walked


@pytest.mark.slow
@settings(max_examples=30)
@given(order=orders())
def test_positions_follow_from_a_walk_from_the_beginning(order):
    assert [order(number) for number in range(2500)] == naive_order(order, 2500)


@pytest.mark.slow
@settings(max_examples=40)
@given(order=orders(), number=st.integers(0, 10**12), world=st.integers(1, 7))
def test_resumed_and_shared_among_processes(order, number, world):
    window = range(number, number + 1200)
    undisturbed = [order(i) for i in window]
    resumed = MixtureOrder(order.sizes, order.phases, order.seed)
    assert [resumed(i) for i in window[700:]] == undisturbed[700:]
    processes = [MixtureOrder(order.sizes, order.phases, order.seed) for _ in range(world)]
    shared = {i: processes[rank](i) for rank in range(world) for i in window[rank::world]}
    assert [shared[i] for i in window] == undisturbed
    assert [order(i) for i in reversed(window)] == undisturbed[::-1]


def test_phases_to_come_do_not_change_what_was():
    before = MixtureOrder([50, 70], [Phase(0, (0.25, 0.75))], 3)
    after = MixtureOrder([50, 70], [Phase(0, (0.25, 0.75)), Phase(1500, (1.0, 0.0))], 3)
    # The block in which the phase changes is cut short, and its order changes.
    assert [before(i) for i in range(1024)] == [after(i) for i in range(1024)]
    assert {after(i)[0] for i in range(1500, 3000)} == {0}
    assert sum(after(i)[0] == 0 for i in range(1500)) == 375


def test_small_weights_are_never_lost():
    weights = (0.33337, 0.0001, 0.33323, 0.3333)
    order = MixtureOrder([10] * 4, [Phase(0, weights)], 0)
    total = 40 * BLOCK
    counts = Counter(order(number)[0] for number in range(total))
    assert all(abs(counts[corpus] - weight * total) <= 2 for corpus, weight in enumerate(weights))
    assert order.seen(10**12) == tuple(round(weight * 10**12) for weight in weights)


def test_corpora_are_mixed_within_a_block():
    order = MixtureOrder([100, 100], HALVES, 0)
    corpora = np.array([order(number)[0] for number in range(BLOCK)])
    assert corpora.sum() == BLOCK // 2
    for half in np.split(corpora, 8):
        assert 40 <= half.sum() <= 88  # 64 on average, standard deviation 5.3
    runs = (np.diff(corpora) != 0).sum() + 1
    assert 430 < runs < 595  # 513 on average, standard deviation 16


def test_epochs_and_seeds_differ():
    def epochs(seed):
        order = MixtureOrder([500], [Phase(0, (1.0,))], seed)
        return [tuple(order(number)[1] for number in range(start, start + 500)) for start in (0, 500, 1000)]

    shuffled = [*epochs(0), *epochs(1)]
    assert len(set(shuffled)) == 6
    for first in range(6):
        for second in range(first):
            same = sum(a == b for a, b in zip(shuffled[first], shuffled[second], strict=True))
            assert same < 8  # 1 on average, as in random permutations


@given(size=st.integers(1, 3000), seed=st.integers(0, 2**64))
def test_permutations_are_permutations(size, seed):
    assert sorted(permute(index, size, (seed, 1)) for index in range(size)) == list(range(size))


@pytest.mark.parametrize("size", [2, 3, 7, 10])
def test_permutations_are_uniform(size):
    drawn = np.array([[permute(index, size, (5, epoch)) for index in range(size)] for epoch in range(3000)])
    for column in drawn.T:
        assert chisquare(np.bincount(column, minlength=size)).pvalue > 1e-4
    pairs = (drawn[:, 0] * size + drawn[:, 1])[:, None] == np.arange(size * size)
    counts = pairs.sum(0).reshape(size, size)[~np.eye(size, dtype=bool)]
    assert chisquare(counts).pvalue > 1e-4


def test_permutations_of_many_texts_are_uncorrelated():
    size = 20_000
    drawn = np.array([permute(index, size, (0, 1, 0, 0)) for index in range(size)])
    limit = 4 / size**0.5
    assert abs(np.corrcoef(drawn, np.arange(size))[0, 1]) < limit
    for lag in (1, 2, 141, 142):  # 142 is the width of the table
        assert abs(np.corrcoef(drawn[:-lag], drawn[lag:])[0, 1]) < limit


def test_the_order_is_the_same_for_ever():
    """A run that is resumed with a later version relies on these numbers."""
    order = MixtureOrder([10**9, 7, 100], [Phase(0, (0.5, 0.25, 0.25)), Phase(2000, (0.0, 1.0, 0.0))], 42)
    assert [order(number) for number in (0, 1, 2, 1999, 2000, 10**9)] == [
        (0, 951103746),
        (0, 301200545),
        (0, 543573918),
        (1, 1),
        (1, 0),
        (1, 3),
    ]


@pytest.mark.parametrize(
    ("sizes", "phases", "message"),
    [
        ([], HALVES, r"The corpora have \[\] texts"),
        ([5, 0], HALVES, r"The corpora have \[5, 0\] texts: every one needs at least 1"),
        ([5], HALVES, r"The phase from sample 0 has 2 weights \(0.5, 0.5\) for 1 corpora"),
        ([5, 5], [], r"Phases begin at samples \[\]"),
        ([5, 5], [Phase(10, (0.5, 0.5))], r"Phases begin at samples \[10\]: expected numbers that increase from 0"),
        (
            [5, 5],
            [*HALVES, Phase(9, (1, 0)), Phase(9, (0, 1))],
            r"samples \[0, 9, 9\]: expected numbers that increase",
        ),
        (
            [5, 5],
            [*HALVES, Phase(9, (1, 0)), Phase(8, (0, 1))],
            r"samples \[0, 9, 8\]: expected numbers that increase",
        ),
    ],
)
def test_orders_that_are_refused(sizes, phases, message):
    with pytest.raises(ValueError, match=message):
        MixtureOrder(sizes, phases, 0)


@pytest.mark.parametrize(
    ("start", "weights", "message"),
    [
        (0, (0.5, 0.4), r"The weights \(0.5, 0.4\) of a phase sum to 0.9: they must sum to 1"),
        (0, (), r"The weights \(\) of a phase sum to 0"),
        (0, (1.5, -0.5), r"The weights \(1.5, -0.5\) of a phase must not be negative"),
        (0, (float("nan"), 1.0), "nan"),
        (-1, (1.0,), "A phase begins at sample -1"),
    ],
)
def test_phases_that_are_refused(start, weights, message):
    with pytest.raises(ValueError, match=message):
        Phase(start, weights)


def test_weights_may_be_rounded():
    order = MixtureOrder([5] * 3, [Phase(0, (1 / 3, 1 / 3, 0.333333))], 0)
    assert sum(order.seen(BLOCK)) == BLOCK


# The dataset


@pytest.fixture(scope="module")
def corpora() -> list[datasets.Dataset]:
    return [
        datasets.Dataset.from_dict({"input_ids": [[corpus, text, 1] for text in range(size)], "part": [0] * size})
        for corpus, size in enumerate((30, 7))
    ]


def test_stream_gives_what_the_order_says(corpora):
    order = MixtureOrder([30, 7], [Phase(0, (0.8, 0.2))], 0)
    stream = InfillingStream(corpora, order, 2000)
    assert len(stream) == 2000
    for number in (0, 1, 1023, 1024, 1999):
        assert stream[number] == {"input_ids": [*order(number), 1], "sample_id": number}
    resumed = InfillingStream(corpora, order, 500, start=1500)
    assert [resumed[i] for i in range(500)] == [stream[i] for i in range(1500, 2000)]
    with pytest.raises(IndexError, match="no sample 500: there are 500"):
        resumed[500]
    with pytest.raises(IndexError, match="no sample -1"):
        stream[-1]
    with pytest.raises(IndexError, match="no sample -1"):
        order(-1)


def test_workers_of_a_data_loader_give_the_same(corpora):
    stream = InfillingStream(corpora, MixtureOrder([30, 7], HALVES, 0), 64, start=1000)
    loader = DataLoader(stream, batch_size=8, num_workers=2, collate_fn=list)
    assert [as_lists(sample) for batch in loader for sample in batch] == [stream[i] for i in range(64)]


def as_lists(sample: dict) -> dict:
    return {**sample, "input_ids": list(sample["input_ids"])}


def test_batches_are_what_single_samples_are(corpora):
    """Texts of different and of the same length, of both corpora, twice in a batch, from a stored dataset."""
    stream = InfillingStream(corpora, MixtureOrder([30, 7], HALVES, 0), 300)
    for indices in ([0], [5, 3, 3, 250], list(range(300))):
        assert [as_lists(sample) for sample in stream.__getitems__(indices)] == [stream[i] for i in indices]
    ragged = datasets.Dataset.from_dict({"input_ids": [[1] * size for size in range(2, 32)]})
    stream = InfillingStream([ragged], MixtureOrder([30], [Phase(0, (1.0,))], 0), 60)
    assert [as_lists(sample) for sample in stream.__getitems__(range(60))] == [stream[i] for i in range(60)]


def test_stream_pickles_without_what_it_caches():
    order = MixtureOrder([10**9, 10**8], HALVES, 0)
    order(5)
    pickled = pickle.dumps(order)
    assert len(pickled) < 500
    assert pickle.loads(pickled)(10**6) == order(10**6)


def test_streams_that_are_refused(corpora):
    with pytest.raises(ValueError, match=r"The corpora have \(30, 7\) texts, but the order is for \(30, 8\)"):
        InfillingStream(corpora, MixtureOrder([30, 8], HALVES, 0), 10)
    with pytest.raises(ValueError, match="num_samples is -1"):
        InfillingStream(corpora, MixtureOrder([30, 7], HALVES, 0), -1)

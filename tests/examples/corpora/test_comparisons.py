"""Pairs of numbers for fine-tuning."""

from examples.corpora.comparisons import make_comparisons


def test_pairs_are_labelled_and_in_one_split_only():
    train = make_comparisons(500, held_out=False, seed=0)
    held_out = make_comparisons(500, held_out=True, seed=0)
    for example in (*train, *held_out):
        assert example["label"] == ("smaller" if example["first"] < example["second"] else "larger")
    pairs = [{(example["first"], example["second"]) for example in examples} for examples in (train, held_out)]
    assert not pairs[0] & pairs[1]
    assert train == make_comparisons(500, held_out=False, seed=0)
    assert 200 < sum(example["label"] == "larger" for example in train) < 300

"""Corruption: layouts of the original by hand, invariants for any text, statistics that can fail."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modeling_glm import DataCollatorForBlankInfilling
from modeling_glm.tokenization.span_corruption import corrupt_spans, poisson_lengths, sample_spans

from ..conftest import FIXTURES, GOLDEN

IDS = {"mask_token_id": 3, "sop_token_id": 6, "eop_token_id": 7}


def test_layout_by_hand():
    """Two spans, the second first."""
    sample = corrupt_spans(np.arange(10, 18), [(1, 3), (5, 6)], np.array([1, 0]), **IDS)
    assert sample.input_ids.tolist() == [10, 3, 13, 14, 3, 16, 17, 6, 15, 6, 11, 12]
    assert sample.labels.tolist() == [-100] * 7 + [15, 7, 11, 12, 7]
    assert sample.position_ids.tolist() == [[0, 1, 2, 3, 4, 5, 6, 4, 4, 1, 1, 1], [0, 0, 0, 0, 0, 0, 0, 1, 2, 1, 2, 3]]


def test_layout_of_the_original():
    folder = next((f for f in (GOLDEN, FIXTURES) if (f / "data_building" / "make_block_data.json").exists()), None)
    if folder is None:
        pytest.skip("golden data is not there")
    data = json.loads((folder / "data_building" / "make_block_data.json").read_text(encoding="utf-8"))
    case = next(case for case in data["cases"] if case["name"] == "three_spans_shuffled")
    given, expected = case["input"], case["output"]
    ids = data["command_ids"][given["tokenizer"]]
    sample = corrupt_spans(
        np.array(given["tokens"]),
        [tuple(span) for span in given["spans"]],
        np.array(given["shuffle_perm"]),
        mask_token_id=ids["MASK"],
        sop_token_id=ids["sop"],
        eop_token_id=ids["eop"],
    )
    assert sample.input_ids.tolist() == expected["tokens"]
    assert sample.position_ids.tolist() == expected["position_ids"]
    labels = [
        target if keep else -100 for target, keep in zip(expected["targets"], expected["loss_mask"], strict=True)
    ]
    assert sample.labels.tolist() == labels


def restore(sample) -> list[int]:
    """The text, from Part A with its blanks filled by the pieces that stand at their positions."""
    pieces, context = {}, []
    for token, label, row0, row1 in zip(
        sample.input_ids.tolist(), sample.labels.tolist(), *sample.position_ids.tolist(), strict=True
    ):
        if row1 == 0:
            context.append(token)
        elif row1 == 1:
            assert token == IDS["sop_token_id"]
            pieces[row0] = [label]
        else:
            assert token == pieces[row0][-1]
            pieces[row0].append(label)
    text = []
    for position, token in enumerate(context):
        text += pieces[position][:-1] if position in pieces else [token]
    assert all(piece[-1] == IDS["eop_token_id"] for piece in pieces.values())
    return text


@settings(max_examples=200)
@given(st.integers(1, 120), st.floats(0.05, 0.9), st.floats(1, 10), st.integers(0, 2**32))
def test_spans_do_not_touch_and_the_text_is_restored(length, ratio, mean, seed):
    generator = np.random.default_rng(seed)
    spans = sample_spans(generator, length, ratio, poisson_lengths(mean))
    assert spans
    assert spans[0][0] >= 0
    assert spans[-1][1] <= length
    assert all(stop - start >= 1 for start, stop in spans)
    assert all(start > stop for (_, stop), (start, _) in itertools.pairwise(spans))
    tokens = np.arange(100, 100 + length)
    sample = corrupt_spans(tokens, spans, generator.permutation(len(spans)), **IDS)
    assert restore(sample) == tokens.tolist()


def test_statistics_of_the_spans():
    """Lengths follow the restricted Poisson distribution, places are uniform, 15% and a little more are covered."""
    generator = np.random.default_rng(0)
    probabilities = poisson_lengths(3.0)
    assert probabilities.sum() == pytest.approx(1)
    assert probabilities[:3] / probabilities[0] == pytest.approx([1, 3 / 2, 9 / 6])
    spans = [sample_spans(generator, 500, 0.15, probabilities) for _ in range(400)]
    lengths = np.array([stop - start for row in spans for start, stop in row])
    mean = (np.arange(1, 40) * probabilities).sum()
    # A Poisson mean of 2.5 instead of 3 would lie 28 standard errors away.
    assert lengths.mean() == pytest.approx(mean, abs=4 * lengths.std() / len(lengths) ** 0.5)
    covered = np.zeros(500)
    for row in spans:
        for start, stop in row:
            covered[start:stop] += 1
    assert 0.15 <= covered.mean() / len(spans) < 0.16
    assert covered[50:250].mean() == pytest.approx(covered[250:450].mean(), rel=0.05)


@pytest.fixture
def features(tokenizer):
    text = "The quick brown fox jumps over the lazy dog and the lazy cat in the year 1987"
    ids = tokenizer(text, add_special_tokens=False).input_ids
    return [{"input_ids": ids[:size], "sample_id": size} for size in (1, 2, 5, 11, len(ids))]


@pytest.mark.parametrize("objectives", [{"token": 1.0}, {"document": 1.0}, {"token": 0.5, "document": 0.5}])
def test_batches(tokenizer, features, objectives):
    collator = DataCollatorForBlankInfilling(tokenizer, objectives=objectives, pad_to_multiple_of=8)
    batch = collator(features)
    shape = batch["input_ids"].shape
    assert shape == batch["attention_mask"].shape == batch["labels"].shape
    assert shape[1] % 8 == 0
    assert batch["position_ids"].shape == (len(features), 2, shape[1])
    assert (batch["labels"][batch["position_ids"][:, 1] == 0] == -100).all()
    assert (batch["labels"] != -100).any(1).all()
    assert (batch["input_ids"] != tokenizer.eop_token_id).all()


def test_document_objective(tokenizer, features):
    text = features[-1]["input_ids"]
    seen = set()
    for sample_id in range(200):
        collator = DataCollatorForBlankInfilling(tokenizer, objectives={"document": 1.0}, min_document_ratio=0.5)
        sample = collator.corrupt({"input_ids": text, "sample_id": sample_id})
        part_b = sample.labels[sample.labels != -100]
        ends = part_b[-1] == tokenizer.eop_token_id
        size = len(part_b) - ends
        assert np.ceil(len(text) / 2) <= size < len(text)
        assert tokenizer.gmask_token_id in sample.input_ids
        assert (tokenizer.eos_token_id in sample.input_ids) == ends
        if not ends:
            assert text[-size:] == part_b.tolist()
        seen.add((bool(ends), int(size)))
    assert {ends for ends, _ in seen} == {True, False}
    assert len({size for _, size in seen}) > 5


def test_what_is_drawn_depends_on_seed_and_sample_alone(tokenizer, features):
    collator = DataCollatorForBlankInfilling(tokenizer, seed=5)
    together = collator(features)["input_ids"]
    other = DataCollatorForBlankInfilling(tokenizer, seed=5)
    alone = [other.corrupt(feature).input_ids for feature in reversed(features)][::-1]
    for row, ids in zip(together, alone, strict=True):
        assert row[: len(ids)].tolist() == ids.tolist()
    changed = DataCollatorForBlankInfilling(tokenizer, seed=6)(features)["input_ids"]
    assert changed.shape != together.shape or (changed != together).any()
    numbered = DataCollatorForBlankInfilling(tokenizer, seed=5)
    plain = {"input_ids": features[-1]["input_ids"]}
    assert numbered.corrupt(plain).input_ids.tolist() != numbered.corrupt(plain).input_ids.tolist()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"objectives": {"words": 1.0}}, r"\['words'\]: there are \['document', 'token'\]"),
        ({"objectives": {"token": 0.5}}, "must sum to 1"),
    ],
)
def test_errors(tokenizer, settings, message):
    with pytest.raises(ValueError, match=message):
        DataCollatorForBlankInfilling(tokenizer, **settings)


def test_empty_text_is_refused(tokenizer):
    with pytest.raises(ValueError, match="without tokens"):
        DataCollatorForBlankInfilling(tokenizer)([{"input_ids": []}])


def test_special_tokens_around_a_text_change_nothing(tokenizer):
    bare, whole = (
        tokenizer("the lazy dog and the lazy cat", add_special_tokens=special).input_ids for special in (False, True)
    )
    collator = DataCollatorForBlankInfilling(tokenizer)
    found, expected = (collator.corrupt({"input_ids": ids, "sample_id": 3}) for ids in (whole, bare))
    assert found.input_ids.tolist() == expected.input_ids.tolist()


def test_long_texts_are_cut(tokenizer, features):
    collator = DataCollatorForBlankInfilling(tokenizer, max_length=8)
    assert collator(features)["position_ids"].max() < 8

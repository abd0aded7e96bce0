"""Networks that classify: batches, training and scores."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForSequenceClassification

from benchmarks.studies.real_tasks.budgets import Budget
from benchmarks.studies.real_tasks.neural import SimilarLengths, build_cloze, build_head, fine_tune
from modeling_glm import ClozeClassifier, GLMForMultipleChoice

BUDGET = Budget(epochs=8, batch_size=16)


@pytest.mark.slow
@pytest.mark.parametrize("build", [build_cloze, build_head])
def test_networks_learn(build, model, tasks, tmp_path):
    """The label is a word of the text."""
    data = tasks["sms_spam"]
    network = build(model, data, seed=0)
    gold = [data.task.label_index(example) for example in data.test]
    before = network.score(data.test)
    fine_tune(network, data.train, BUDGET, rate=1e-2, seed=0, bf16=False, folder=tmp_path / "run")
    after = network.score(data.test)
    assert before.shape == after.shape == (len(data.test), 2)
    assert (after.argmax(1) == gold).mean() > 0.9
    assert not (tmp_path / "run").exists()

    again = build(model, data, seed=0)
    fine_tune(again, data.train, BUDGET, rate=1e-2, seed=0, bf16=False, folder=tmp_path / "run")
    np.testing.assert_array_equal(again.score(data.test), after)


def test_cloze_scores_are_those_of_a_classifier(model, tasks, tokenizer):
    """Without training examples they are calibrated."""
    data = tasks["rotten_tomatoes"]
    loaded = GLMForMultipleChoice.from_pretrained(model, dtype=torch.float32)
    classifier = ClozeClassifier(loaded, tokenizer, data.task, max_length=data.max_length)
    untrained = type(data)(data.name, data.task, [], [], data.test, max_length=data.max_length)
    for given_data, calibration in ((data, None), (untrained, "contextual")):
        expected = classifier.calibrate(calibration).calibrated_scores(data.test)
        np.testing.assert_allclose(build_cloze(model, given_data, 0).score(data.test), expected, atol=1e-4)


def test_head_reads_the_text_alone(model, tasks, tokenizer):
    data = tasks["r8"]
    network = build_head(model, data, seed=3)
    rows = network.encode([{"text": "some [MASK] profit", "label": "earn"}, {"text": "wheat", "label": "grain"}])
    masked, plain = (row["input_ids"] for row in rows)
    assert tokenizer.mask_token_id not in masked
    assert tokenizer.decode(plain, skip_special_tokens=True).strip() == "wheat"
    batch = network.collate(rows)
    assert batch["labels"].tolist() == [data.task.labels.index("earn"), data.task.labels.index("grain")]
    assert network.model.config.num_labels == 8
    fresh = build_head(model, data, seed=3).model.state_dict()
    assert all(torch.equal(value, fresh[name]) for name, value in network.model.state_dict().items())


def test_scores_do_not_depend_on_the_batch(model, tasks):
    """A naive loop over texts, with the probabilities of the library's class."""
    data = tasks["newsgroups"]
    network = build_head(model, data, seed=0)
    assert isinstance(network.model, type(AutoModelForSequenceClassification.from_config(network.model.config)))
    examples = [{"text": "word " * count} for count in (1, 40, 3, 200)]
    together = network.score(examples)
    for example, row in zip(examples, together, strict=True):
        np.testing.assert_allclose(network.score([example])[0], row, atol=1e-5)
    np.testing.assert_allclose(np.exp(together).sum(1), 1, atol=1e-5)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=300), st.integers(1, 40), st.integers(0, 5))
def test_batches_of_similar_length_have_every_row_once(lengths, batch_size, seed):
    sampler = SimilarLengths(lengths, batch_size, seed, window=3)
    batches = list(sampler)
    assert len(batches) == len(sampler)
    assert sorted(number for batch in batches for number in batch) == list(range(len(lengths)))
    assert all(len(batch) <= batch_size for batch in batches)
    assert list(SimilarLengths(lengths, batch_size, seed, window=3)) == batches


def test_batches_have_little_padding_and_change_with_the_epoch():
    lengths = [1 + number * 37 % 100 for number in range(1000)]
    sampler = SimilarLengths(lengths, 10, seed=0)
    first, second = list(sampler), list(sampler)
    padded = sum(max(lengths[number] for number in batch) * len(batch) for batch in first)
    assert padded < 1.1 * sum(lengths)
    assert {tuple(batch) for batch in first}.isdisjoint({tuple(batch) for batch in second})
    # The batches themselves are not in the order of their lengths.
    longest = [max(lengths[number] for number in batch) for batch in first[:20]]
    assert longest not in (sorted(longest), sorted(longest, reverse=True))

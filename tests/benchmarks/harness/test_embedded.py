"""The embedded checkpoint and its texts."""

import pytest

from benchmarks.harness.embedded import held_out_texts, load_tokenizer, training_texts


@pytest.mark.slow
def test_texts_are_in_the_vocabulary():
    tokenizer = load_tokenizer()
    texts = training_texts(5)
    assert len(texts) == 5
    assert all(tokenizer.unk_token_id not in ids for ids in tokenizer(texts)["input_ids"])


@pytest.mark.slow
def test_held_out_texts_are_not_trained_on():
    assert not set(training_texts()) & set(held_out_texts())

"""Tensors of batches: padding, and packed rows beside the model's own positions."""

import pytest
import torch

from modeling_glm import DataCollatorForInfillingSeq2Seq, GLMForConditionalGeneration
from modeling_glm.layout_glm import compute_position_ids, number_texts
from modeling_glm.tokenization.seq2seq.batches import packed_batch, pad, unpacked_batch
from tests.support.models import make_model

ROWS = [
    {"source": "The dog", "target": ["jumps over", "cat"]},
    {"source": "In the year 1987 the fox", "target": ["x", "the lazy dog"]},
    {"source": "Paris", "target": ["is the capital of France", "Rome"]},
    {"source": "a", "target": ["b", "c"]},
] * 3


@pytest.fixture(scope="module")
def samples(tokenizer):
    collator = DataCollatorForInfillingSeq2Seq(tokenizer, "{source} [MASK] and [sMASK].")
    return [collator.encode(row) for row in ROWS]


def test_padding():
    assert pad([[1, 2], [3]], 0).tolist() == [[1, 2], [3, 0]]
    assert pad([[1, 2], [3]], -100, side="left").tolist() == [[1, 2], [-100, 3]]
    assert pad([[1, 2], []], 0, multiple=4).tolist() == [[1, 2, 0, 0], [0] * 4]
    assert pad([[]], 0).dtype == torch.int64


def test_given_masks_and_positions_are_padded():
    sample = {"input_ids": [5, 6], "labels": [-100, 7], "attention_mask": [0, 1], "position_ids": [[0, 1], [0, 1]]}
    batch = unpacked_batch([sample, {**sample, "input_ids": [8, 9]}], 3, multiple=3)
    assert batch["input_ids"].tolist() == [[5, 6, 3], [8, 9, 3]]
    assert batch["attention_mask"].tolist() == [[0, 1, 0]] * 2
    assert batch["labels"].tolist() == [[-100, 7, -100]] * 2
    assert batch["position_ids"].tolist() == [[[0, 1, 0], [0, 1, 0]]] * 2


def make_packed(tokenizer, samples, length=60):
    return packed_batch(
        samples, tokenizer.pad_token_id, tokenizer.mask_token_ids, tokenizer.sop_token_id, length, multiple=None
    )


def test_packed_positions_are_those_of_the_model(tokenizer, samples):
    """Each sample alone, through the model's own computation, is the reference."""
    packed = make_packed(tokenizer, samples)
    assert len(packed["input_ids"]) < len(samples) / 2
    model = make_model(GLMForConditionalGeneration, vocab_size=len(tokenizer), **tokenizer.special_token_ids)
    numbers = number_texts(packed["position_ids"], packed["attention_mask"])
    found = []
    for row in range(len(numbers)):
        for number in numbers[row].unique().tolist():
            where = (numbers[row] == number) & (packed["attention_mask"][row] == 1)
            ids, labels = packed["input_ids"][row][where], packed["labels"][row][where]
            expected = compute_position_ids(ids[None], model.config)[0]
            assert packed["position_ids"][row][:, where].tolist() == expected.tolist()
            found.append((ids.tolist(), labels.tolist()))
    assert sorted(found) == sorted((sample["input_ids"], sample["labels"]) for sample in samples)


def test_packed_loss_and_gradients_equal_unpacked_ones(tokenizer, samples):
    plain = unpacked_batch(samples, tokenizer.pad_token_id, None)
    results = []
    for batch in (plain, make_packed(tokenizer, samples)):
        model = make_model(GLMForConditionalGeneration, vocab_size=len(tokenizer), **tokenizer.special_token_ids)
        loss = model(**batch).loss
        loss.backward()
        results.append((loss.detach(), [parameter.grad for parameter in model.parameters()]))
    (loss, gradients), (packed_loss, packed_gradients) = results
    torch.testing.assert_close(packed_loss, loss, atol=1e-5, rtol=1e-5)
    for gradient, packed_gradient in zip(gradients, packed_gradients, strict=True):
        torch.testing.assert_close(packed_gradient, gradient, atol=1e-5, rtol=1e-4)

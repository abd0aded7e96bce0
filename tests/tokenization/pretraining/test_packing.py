"""Packed rows: nothing lost, nearly no padding, and the same loss and gradients as one text per row."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from modeling_glm import DataCollatorForBlankInfilling, GLMForConditionalGeneration
from modeling_glm.layout_glm import number_texts
from modeling_glm.tokenization.pretraining.packing import pack
from tests.support.models import make_model


@given(st.lists(st.integers(1, 60), min_size=1, max_size=50), st.integers(1, 200))
def test_rows_hold_every_sample_once(lengths, row_length):
    lengths = np.array(lengths)
    rows = pack(lengths, row_length)
    places = zip(rows.row, rows.start, lengths, strict=True)
    taken = sorted((row, start, start + length) for row, start, length in places)
    for (row, _, stop), (next_row, start, _) in itertools.pairwise(taken):
        assert start == (stop if next_row == row else 0)
    assert taken[0][1] == 0
    assert set(rows.row) == set(range(rows.row.max() + 1))
    assert rows.length == (rows.start + lengths).max()
    assert rows.padding == rows.length * (rows.row.max() + 1) - lengths.sum()
    if lengths.max() <= row_length:
        assert rows.length <= row_length
        assert rows.row.max() + 1 <= 2 * max(1, -(-lengths.sum() // row_length))


def test_rows_by_hand():
    rows = pack(np.array([5, 4, 3, 3, 2, 1]), 9)
    assert rows.row.tolist() == [0, 1, 1, 0, 1, 0]
    assert rows.start.tolist() == [0, 0, 4, 5, 7, 8]
    assert (rows.length, rows.padding) == (9, 0)


@pytest.fixture
def texts(tokenizer):
    generator = np.random.default_rng(0)
    return [
        {"input_ids": generator.integers(20, 340, size).tolist(), "sample_id": number}
        for number, size in enumerate(generator.integers(1, 40, 24))
    ]


MIXTURE = {"token": 0.5, "sentence": 0.2, "document": 0.3}


def batches(tokenizer, texts, **settings):
    settings = {"objectives": MIXTURE, "max_length": 47, **settings}
    return (
        DataCollatorForBlankInfilling(tokenizer, **settings)(texts),
        DataCollatorForBlankInfilling(tokenizer, packed_length=120, **settings)(texts),
    )


@pytest.mark.parametrize("attention", ["eager", "sdpa", "flex_attention"])
@pytest.mark.parametrize(
    "settings", [{}, {"random_positions": True}, {"masked_lm": True, "objectives": {"token": 1.0}}], ids=str
)
def test_packed_loss_and_gradients_equal_unpacked_ones(tokenizer, texts, attention, settings):
    plain, packed = batches(tokenizer, texts, **settings)
    assert len(packed["input_ids"]) < len(plain["input_ids"]) / 3
    found = []
    for batch in (plain, packed):
        model = make_model(
            GLMForConditionalGeneration,
            attn_implementation="sdpa" if attention == "flex_attention" else attention,
            vocab_size=347,
            **tokenizer.special_token_ids,
        )
        if attention == "flex_attention":  # no backward on CPUs
            model.set_attn_implementation(attention)
            with torch.no_grad():
                found.append((model(**batch).loss, []))
            continue
        loss = model(**batch).loss
        loss.backward()
        found.append((loss.detach(), [parameter.grad for parameter in model.parameters()]))
    (loss, gradients), (packed_loss, packed_gradients) = found
    torch.testing.assert_close(packed_loss, loss, atol=1e-5, rtol=1e-5)
    for gradient, packed_gradient in zip(gradients, packed_gradients, strict=True):
        torch.testing.assert_close(packed_gradient, gradient, atol=1e-5, rtol=1e-4)


def test_the_model_tells_the_texts_apart(tokenizer, texts):
    plain, packed = batches(tokenizer, texts)
    numbers = number_texts(packed["position_ids"], packed["attention_mask"])
    sizes = sorted(
        int((numbers[row] == number).sum() - ((numbers[row] == number) & (packed["attention_mask"][row] == 0)).sum())
        for row in range(len(numbers))
        for number in range(1, int(numbers[row].max()) + 1)
    )
    assert sizes == sorted(plain["attention_mask"].sum(1).tolist())


def test_nearly_no_padding(tokenizer, texts):
    _, packed = batches(tokenizer, texts)
    assert 1 - packed["attention_mask"].float().mean() < 0.03
    longest = DataCollatorForBlankInfilling(tokenizer, objectives=MIXTURE, max_length=47, packed_length=10)(texts)
    assert 1 - longest["attention_mask"].float().mean() < 0.15

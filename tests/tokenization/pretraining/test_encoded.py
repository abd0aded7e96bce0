"""Samples that are encoded already: their positions, beside those that the model computes of the same ids."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from modeling_glm import GLMConfig
from modeling_glm.layout_glm import compute_position_ids
from modeling_glm.tokenization.pretraining.encoded import join_encoded, join_samples

PAD, CLS, EOS, MASK, GMASK, SOP, EOP = range(7)
MASKS = [MASK, GMASK]
CONFIG = GLMConfig(
    vocab_size=32,
    hidden_size=8,
    num_hidden_layers=1,
    num_attention_heads=1,
    pad_token_id=PAD,
    cls_token_id=CLS,
    eos_token_id=EOS,
    mask_token_id=MASK,
    gmask_token_id=GMASK,
    smask_token_id=None,
    sop_token_id=SOP,
    eop_token_id=EOP,
)
WORDS = st.integers(EOP + 1, 31)


@st.composite
def samples(draw) -> dict:
    """A text with some blanks, of which the first ones have pieces."""
    context = [CLS, *draw(st.lists(WORDS | st.sampled_from(MASKS), max_size=8)), EOS]
    blanks = sum(token in MASKS for token in context)
    pieces = [draw(st.lists(WORDS, max_size=3)) for _ in range(draw(st.integers(0, blanks)))]
    labels = [label for piece in pieces for label in [*piece, EOP]]
    fed = [token for piece in pieces for token in [SOP, *piece]]
    return {"input_ids": context + fed, "labels": [-100] * len(context) + labels}


@given(st.lists(samples(), min_size=1, max_size=4))
def test_positions_are_those_of_the_model(rows):
    joined = join_encoded(rows, MASKS, SOP)
    for number, row in enumerate(rows):
        sample = joined[number]
        assert sample["input_ids"].tolist() == row["input_ids"]
        assert sample["labels"].tolist() == row["labels"]
        assert (
            sample["position_ids"].tolist()
            == compute_position_ids(torch.tensor([row["input_ids"]]), CONFIG)[0].tolist()
        )
        context = joined.context_lengths[number]
        assert (sample["position_ids"][1] > 0).tolist() == [place >= context for place in range(len(row["input_ids"]))]


@given(st.lists(samples(), min_size=2, max_size=5), st.integers(1, 4))
def test_joined_twice_is_joined_at_once(rows, split):
    split = min(split, len(rows) - 1)
    parts = join_samples(join_encoded(rows[:split], MASKS, SOP), join_encoded(rows[split:], MASKS, SOP))
    whole = join_encoded(rows, MASKS, SOP)
    for name in ("input_ids", "position_ids", "labels", "offsets", "context_lengths", "origins"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))


def test_by_hand():
    """Two blanks with pieces of 2 tokens and 1."""
    sample = {"input_ids": [CLS, MASK, 9, GMASK, SOP, 8, SOP], "labels": [-100] * 4 + [8, EOP, EOP]}
    joined = join_encoded([sample], MASKS, SOP)
    assert joined.position_ids.tolist() == [[0, 1, 2, 3, 1, 1, 3], [0, 0, 0, 0, 1, 2, 1]]
    assert joined.context_lengths.tolist() == [4]


def test_what_is_no_sample():
    good = {"input_ids": [CLS, MASK, SOP], "labels": [-100, -100, EOP]}
    with pytest.raises(ValueError, match="Sample 1 has 2 pieces for 1 blanks: expected a blank for each"):
        join_encoded([good, {"input_ids": [CLS, MASK, SOP, SOP], "labels": [-100, -100, EOP, EOP]}], MASKS, SOP)
    with pytest.raises(ValueError, match="Sample 0 has 3 input_ids and 2 labels"):
        join_encoded([{**good, "labels": [-100, EOP]}], MASKS, SOP)
    with pytest.raises(ValueError, match=r"Sample 7 has labels on Part A, in front of the first <sop>"):
        join_encoded(
            [{"input_ids": [CLS, 9, EOS], "labels": [CLS, 9, EOS]}], MASKS, SOP, rows=[7]
        )  # as of `group_texts`
    with pytest.raises(ValueError, match=r"Sample 0 has labels=1: expected a list with one for each token"):
        join_encoded([{**good, "labels": 1}], MASKS, SOP)
    with pytest.raises(ValueError, match=r"Sample 0 has 3 input_ids and an attention_mask of shape \(2,\)"):
        join_encoded([{**good, "attention_mask": [1, 1]}], MASKS, SOP)


@given(
    st.lists(samples(), min_size=1, max_size=4),
    st.integers(0, 3),
    st.integers(0, 3),
    st.sampled_from([list, np.array]),
)
def test_padding_is_left_out(rows, left, right, form):
    padded = [
        {
            "input_ids": form([PAD] * left + row["input_ids"] + [PAD] * right),
            "labels": form([-100] * left + row["labels"] + [-100] * right),
            "attention_mask": form([0] * left + [1] * len(row["input_ids"]) + [0] * right),
        }
        for row in rows
    ]
    found, expected = join_encoded(padded, MASKS, SOP), join_encoded(rows, MASKS, SOP)
    for name in ("input_ids", "position_ids", "labels", "offsets", "context_lengths"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))

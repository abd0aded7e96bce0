"""The layouts of sources and targets, worked by hand."""

import pytest

from modeling_glm.tokenization.seq2seq.layouts import (
    OriginalLayout,
    count_context,
    cut_pieces,
    lay_out,
    lay_out_as_originals,
    number_positions,
)

SOP, EOP, EOS, MASK = 1, 2, 3, 4
TOKENS = {"eos_token_id": EOS, "sop_token_id": SOP, "eop_token_id": EOP}


def test_one_sample():
    ids, labels = lay_out([7, MASK, 8], [[10, 11, EOP], [12, EOP]], SOP)
    assert ids == [7, MASK, 8, SOP, 10, 11, SOP, 12]
    assert labels == [-100] * 3 + [10, 11, EOP, 12, EOP]
    assert count_context(labels) == 3
    assert count_context([-100, -100]) == 2
    assert number_positions([1, 2], 3, [3, 2]) == ([0, 1, 2, 1, 1, 1, 2, 2], [0, 0, 0, 1, 2, 3, 1, 2])


@pytest.mark.parametrize(
    ("room", "kept"),
    [
        (None, [[10, 11, EOP], [12, EOP]]),
        (5, [[10, 11, EOP], [12, EOP]]),
        (4, [[10, 11, EOP], [12]]),
        (3, [[10, 11, EOP]]),
        (2, [[10, 11]]),
        (1, [[10]]),
    ],
)
def test_pieces_that_are_cut_lose_their_end(room, kept):
    assert cut_pieces([[10, 11, EOP], [12, EOP]], room) == kept


def test_original_layout_of_one_blank():
    """Padding of Part A is text; positions count on behind Part B, and the end of the piece is fed."""
    found = lay_out_as_originals(
        [7, MASK, 8], [[10, 11, EOP]], [1], OriginalLayout(), source_length=5, target_length=5, several=False, **TOKENS
    )
    assert found == {
        "input_ids": [7, MASK, 8, EOS, EOS, SOP, 10, 11, EOP, EOS],
        "labels": [-100] * 5 + [10, 11, EOP, -100, -100],
        "attention_mask": [1] * 8 + [0, 0],
        "position_ids": [[0, 1, 2, 3, 4, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 1, 2, 3, 4, 5]],
    }


def test_original_layout_of_several_blanks():
    found = lay_out_as_originals(
        [MASK, 7, MASK],
        [[10, EOP], [11, EOP]],
        [0, 2],
        OriginalLayout(mask_padding=True, block_positions=False),
        source_length=4,
        target_length=5,
        several=True,
        **TOKENS,
    )
    assert found == {
        "input_ids": [MASK, 7, MASK, EOS, SOP, 10, SOP, 11, EOS],
        "labels": [-100] * 4 + [10, EOP, 11, EOP, -100],
        "attention_mask": [1, 1, 1, 0, 1, 1, 1, 1, 0],
        "position_ids": [[0, 1, 2, 3, 0, 0, 2, 2, 0], [0, 0, 0, 0, 1, 1, 1, 1, 0]],
    }


def test_original_layout_of_a_target_that_fills_its_room():
    found = lay_out_as_originals(
        [7, MASK], [[10, 11]], [1], OriginalLayout(), source_length=2, target_length=2, several=False, **TOKENS
    )
    assert found["input_ids"] == [7, MASK, SOP, 10]
    assert found["labels"] == [-100, -100, 10, 11]
    assert found["attention_mask"] == [1] * 4

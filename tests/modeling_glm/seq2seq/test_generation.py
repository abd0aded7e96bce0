"""The limits of a prediction, and where it ends."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import GenerationConfig

from modeling_glm import GLMForConditionalGeneration
from modeling_glm.seq2seq.generation import choose_limits, count_returned, cut_behind_ends, generate_pieces
from tests.support.models import TOKEN_IDS, ending_model, make_model, pad_rows, prompts, read_pieces

SOP, EOP = TOKEN_IDS["sop_token_id"], TOKEN_IDS["eop_token_id"]


@pytest.fixture(scope="module")
def model() -> GLMForConditionalGeneration:
    return make_model(GLMForConditionalGeneration)


@given(st.lists(st.lists(st.integers(0, 9), min_size=5, max_size=5), min_size=1, max_size=4))
def test_nothing_stands_behind_the_first_end(rows):
    rows = [[SOP, *row] for row in rows]
    found = cut_behind_ends(torch.tensor(rows), [EOP, 1])
    kept = [[token for token in row if token != -100] for row in found.tolist()]
    for row, of_row in zip(rows, kept, strict=True):
        stop = next((place for place, token in enumerate(row) if token in (EOP, 1)), len(row))
        assert of_row == row[: stop + 1]
    assert found.shape == (len(rows), max(map(len, kept)))
    assert all(set(row[len(of_row) :]) <= {-100} for row, of_row in zip(found.tolist(), kept, strict=True))


def test_rows_without_an_end_are_whole():
    rows = torch.tensor([[SOP, 12, 13], [SOP, 14, 15]])
    assert torch.equal(cut_behind_ends(rows, []), rows)


@pytest.mark.parametrize("num_beams", [1, 3])
def test_pieces_are_those_of_each_prompt_alone(num_beams):
    model = ending_model()
    rows = prompts()
    ids, mask = pad_rows(rows, "left"), pad_rows([[1] * len(row) for row in rows], "left")
    generated = generate_pieces(model, ids, mask, max_new_tokens_per_blank=6, num_beams=num_beams)
    assert torch.equal(generated.sequences[:, : ids.shape[1]], ids)
    for row, found in zip(rows, generated.pieces.tolist(), strict=True):
        alone = model.generate(torch.tensor([row]), max_new_tokens_per_blank=6, num_beams=num_beams)[0].tolist()
        assert read_pieces(found, 0) == read_pieces(alone, len(row))
        assert [token for token in found if token != -100] == alone[len(row) :]


@pytest.mark.parametrize(
    ("settings", "rows_read"),
    [({}, 4), ({"num_return_sequences": 2, "length_penalty": 0.3}, 4), ({"top_k": 5}, 12), ({"use_cache": False}, 12)],
    ids=str,
)
def test_beams_share_the_reading_of_their_prompt(settings, rows_read):
    """Settings that may change the cache are left to the library."""
    model, rows = ending_model(), prompts()
    ids, mask = pad_rows(rows, "left"), pad_rows([[1] * len(row) for row in rows], "left")
    read = []
    model.glm.register_forward_pre_hook(
        lambda module, args, kwargs: read.append(tuple((kwargs.get("input_ids") if not args else args[0]).shape)),
        with_kwargs=True,
    )
    settings = {"num_beams": 3, "max_new_tokens_per_blank": 6, **settings}
    found = generate_pieces(model, ids, mask, **settings)
    assert max(batch for batch, length in read if length >= ids.shape[1]) == rows_read
    expected = model.generate(ids, attention_mask=mask, **settings)
    assert torch.equal(found.sequences, expected)


@pytest.mark.parametrize(
    ("given", "longest", "expected"),
    [
        ({}, None, {}),
        ({}, 9, {"max_new_tokens": 9}),
        ({"max_length": None, "num_beams": None}, 9, {"max_new_tokens": 9}),
        ({"max_length": 5}, 9, {"max_new_tokens": 4}),
        ({"max_length": 5, "max_new_tokens": 7}, 9, {"max_new_tokens": 7}),
        ({"max_new_tokens": 7}, 9, {"max_new_tokens": 7}),
        ({"max_new_tokens_per_blank": 7}, 9, {"max_new_tokens_per_blank": 7}),
        ({"max_length": 5, "max_new_tokens_per_blank": 7}, 9, {"max_new_tokens": 4, "max_new_tokens_per_blank": 7}),
    ],
    ids=str,
)
def test_limits(model, given, longest, expected):
    assert choose_limits(model, given, longest) == expected


def test_a_generation_config_has_the_limit(model):
    config = GenerationConfig(max_new_tokens=6)
    assert choose_limits(model, {"generation_config": config}, 9) == {"generation_config": config}


@pytest.mark.parametrize("length", [1, 0, -3, 2.5, True, "8"])
def test_a_length_without_room_for_a_token_is_refused(model, length):
    with pytest.raises(ValueError, match=r"max_length=.*: expected .*, the start of a piece and a token"):
        choose_limits(model, {"max_length": length}, None)


def test_the_number_of_sequences_is_found_where_generate_finds_it(model):
    assert count_returned(model, {}) == 1
    assert count_returned(model, {"num_return_sequences": 3}) == 3
    assert count_returned(model, {"generation_config": GenerationConfig(num_return_sequences=2, num_beams=2)}) == 2

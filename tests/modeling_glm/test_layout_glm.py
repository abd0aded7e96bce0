"""Positions, parts and masks: worked by hand, and compared with a naive reading of the paper."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modeling_glm import GLMForConditionalGeneration, GLMModel
from modeling_glm.layout_glm import complete_position_ids, compute_position_ids, glm_mask_function, number_texts
from tests.support.models import FIRST_WORD, TOKEN_IDS, make_model, tiny_config

MASK, SMASK, SOP, EOS, CLS, PAD = (
    TOKEN_IDS[f"{name}_token_id"] for name in ("mask", "smask", "sop", "eos", "cls", "pad")
)


def test_positions_by_hand():
    ids = torch.tensor([[CLS, 11, MASK, 12, SMASK, EOS, SOP, 13, 14, SOP, 15]])
    row0, row1 = compute_position_ids(ids, tiny_config())[0].tolist()
    assert row0 == [0, 1, 2, 3, 4, 5, 2, 2, 2, 4, 4]
    assert row1 == [0, 0, 0, 0, 0, 0, 1, 2, 3, 1, 2]


def test_padding_is_skipped_wherever_it_stands():
    ids = torch.tensor([[PAD, CLS, 11, PAD, MASK, EOS, PAD, SOP, 13, PAD, 14, PAD]])
    mask = (ids != PAD).long()
    row0, row1 = compute_position_ids(ids, tiny_config(), mask)[0][:, mask[0].bool()].tolist()
    assert row0 == [0, 1, 2, 3, 2, 2, 2]
    assert row1 == [0, 0, 0, 0, 1, 2, 3]


def test_mask_tokens_in_part_b_are_words():
    ids = torch.tensor([[CLS, MASK, SOP, MASK, 11, SOP, 12]])
    assert compute_position_ids(ids, tiny_config())[0].tolist() == [[0, 1, 1, 1, 1, 1, 1], [0, 0, 1, 2, 3, 1, 2]]


def test_without_blanks_or_without_a_start_of_piece():
    ids = torch.tensor([[CLS, 11, SOP, 12]])
    assert compute_position_ids(ids, tiny_config())[0].tolist() == [[0, 1, 0, 0], [0, 0, 1, 2]]
    config = tiny_config(sop_token_id=None)
    assert compute_position_ids(ids, config)[0].tolist() == [[0, 1, 2, 3], [0, 0, 0, 0]]


def naive_positions(ids: list[int], real: list[bool]) -> list[tuple[int, int]]:
    """Compute positions in one pass over the tokens, with a list of the blanks."""
    blanks, piece, place, found = [], 0, 0, []
    in_piece = 0
    for token, is_real in zip(ids, real, strict=True):
        if not is_real:
            found.append(None)
            continue
        if token == SOP:
            piece, in_piece = piece + 1, 0
        if piece == 0:
            if token in (MASK, SMASK, TOKEN_IDS["gmask_token_id"]):
                blanks.append(place)
            found.append((place, 0))
            place += 1
        else:
            in_piece += 1
            found.append((blanks[min(piece, len(blanks)) - 1] if blanks else 0, in_piece))
    return found


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.sampled_from([MASK, SMASK, SOP, EOS, *range(FIRST_WORD, 14)]), st.booleans()), min_size=1)
)
def test_positions_equal_a_naive_reading(tokens):
    ids, real = [token for token, _ in tokens], [flag for _, flag in tokens]
    found = compute_position_ids(torch.tensor([ids]), tiny_config(), torch.tensor([real]).long())[0]
    for index, expected in enumerate(naive_positions(ids, real)):
        if expected is not None:
            assert tuple(found[:, index].tolist()) == expected


def test_positions_are_computed_where_none_are_given():
    ids = torch.tensor([[PAD, CLS, MASK, EOS, SOP, 11]])
    mask = (ids != PAD).long()
    expected = compute_position_ids(ids, tiny_config(), mask)
    assert torch.equal(complete_position_ids(None, tiny_config(), ids, attention_mask=mask), expected)
    # A 4D mask marks no padding.
    unpadded = compute_position_ids(ids, tiny_config())
    assert torch.equal(complete_position_ids(None, tiny_config(), ids, attention_mask=mask[None, None]), unpadded)


def test_given_positions_get_their_full_shape():
    ids = torch.tensor([[CLS, MASK, SOP, 11]] * 2)
    rows = torch.tensor([[[0, 1, 1, 1], [0, 0, 1, 2]]])
    assert torch.equal(complete_position_ids(rows, tiny_config(), ids), rows.expand(2, -1, -1))
    # Without block positions one row is enough: the pieces are found in the ids.
    one_table = tiny_config(block_position_embeddings=False)
    found = complete_position_ids(torch.tensor([[0, 1, 1, 1]] * 2), one_table, ids)
    assert found.tolist() == [[[0, 1, 1, 1], [0, 0, 1, 1]]] * 2


def test_texts_are_told_apart_by_their_positions():
    row0 = [0, 1, 2, 1, 1, 0, 1, 2, 0, 1, 1, 5, 6, 7]
    row1 = [0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 1, 0, 0, 0]
    assert number_texts(torch.tensor([[row0, row1]]))[0].tolist() == [1, 1, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]


def test_padding_opens_no_text():
    positions = torch.tensor([[[0, 0, 0, 1, 0, 2, 1, 0], [0, 0, 0, 0, 0, 0, 1, 0]]])
    mask = torch.tensor([[0, 0, 1, 1, 0, 1, 1, 0]])
    assert number_texts(positions, mask)[0, mask[0].bool()].tolist() == [1, 1, 1, 1]


def test_mask_by_hand():
    """A text with 2 tokens of Part A and a piece of 2, then a text of 1 and 1."""
    context = torch.tensor([[True, True, False, False, True, False]])
    text = torch.tensor([[1, 1, 1, 1, 2, 2]])
    index = torch.arange(6)
    allowed = glm_mask_function(context, text)(torch.tensor(0), torch.tensor(0), index[:, None], index[None, :])
    assert allowed.int().tolist() == [
        [1, 1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 0, 0],
        [0, 0, 0, 0, 1, 0],
        [0, 0, 0, 0, 1, 1],
    ]


def test_virtual_keys_by_hand():
    """All tokens see two virtual tokens in front, in packed rows too."""
    context = torch.tensor([[False, False, True, False, True]])  # padded on the left, as the text is
    text = torch.tensor([[-1, -1, 1, 1, 2]])
    index = torch.arange(5)
    allowed = glm_mask_function(context, text, virtual_keys=2)(
        torch.tensor(0), torch.tensor(0), index[2:, None], index[None, :]
    )
    assert allowed.int().tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 0], [1, 1, 0, 0, 1]]


def test_branches_by_hand():
    """Two choices of 2 tokens behind a context of 1 do not see each other."""
    context = torch.tensor([[True, False, False, False, False]])
    branch = torch.tensor([[0, 1, 1, 2, 2]])
    index = torch.arange(5)
    allowed = glm_mask_function(context, branch=branch)(
        torch.tensor(0), torch.tensor(0), index[:, None], index[None, :]
    )
    assert allowed.int().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 0, 0, 1, 0],
        [1, 0, 0, 1, 1],
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input_ids": torch.tensor([[CLS, 64]])}, r"64.*0 \.\.\. 63"),
        ({"input_ids": torch.tensor([[CLS, -1]])}, "-1"),
        (
            {"input_ids": torch.full((1, 50), 11)},
            "Part A.* 50 tokens, but 49 are the limit.*max_position_embeddings=48",
        ),
        ({"input_ids": torch.tensor([[CLS, MASK, SOP, *[11] * 48]])}, "Part B.* 49 tokens, but 48 are the limit"),
        (
            {"position_ids": torch.zeros(1, 2, 4, dtype=torch.long)},
            r"\(1, 2, 4\): expected \(batch, 2, seq\) = \(1, 2, 3\)",
        ),
        ({"position_ids": torch.zeros(1, 3, dtype=torch.long)}, r"\(1, 3\): expected"),
        ({"position_ids": torch.zeros(1, 3, 3, dtype=torch.long)}, r"\(1, 3, 3\): expected"),
        ({"attention_mask": torch.ones(1, 1, 3)}, r"attention_mask has shape \(1, 1, 3\)"),
        ({"attention_mask": torch.ones(1, 1, 3, 3)}, "bool or integer"),
        ({"inputs_embeds": torch.zeros(1, 3, 32)}, "either input_ids or inputs_embeds"),
        ({"input_ids": None}, "either input_ids or inputs_embeds"),
    ],
)
def test_errors(change, message):
    inputs = {"input_ids": torch.tensor([[CLS, MASK, EOS]])}
    with pytest.raises(ValueError, match=message):
        make_model(GLMModel)(**{**inputs, **change})


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3), st.booleans()), min_size=1, max_size=20))
def test_texts_equal_a_naive_reading(tokens):
    row0, row1, real = (list(values) for values in zip(*tokens, strict=True))
    expected, number, previous = [], 0, None
    for place, in_piece, is_real in tokens:
        if is_real:
            if in_piece == 0 and (previous is None or previous != (place - 1, 0)):
                number += 1
            previous = (place, in_piece)
        expected.append(number)
    positions, mask = torch.tensor([[row0, row1]]), torch.tensor([real]).long()
    assert number_texts(positions, mask)[0].tolist() == expected
    without_padding = number_texts(positions[..., mask[0].bool()])[0]
    assert without_padding.tolist() == [number for number, is_real in zip(expected, real, strict=True) if is_real]


def test_positions_have_a_form_in_onnx():
    """A cumulative maximum has none."""
    ids = torch.tensor([[CLS, 11, MASK, EOS, SOP, 12]] * 2)
    model = make_model(GLMForConditionalGeneration)
    model.config.use_cache = False
    positions = compute_position_ids(ids, model.config)
    for inputs in ({"attention_mask": torch.ones_like(ids)}, {"position_ids": positions}):
        program = torch.export.export(model, (ids,), inputs, strict=False)
        called = {str(node.target) for node in program.graph.nodes}
        assert not [name for name in called if "cummax" in name]


def test_labels_that_the_library_calls_shifted_are_aligned_labels():
    model, ids = make_model(GLMForConditionalGeneration), torch.tensor([[CLS, MASK, SOP, 11]])
    labels = torch.tensor([[-100, -100, 11, 12]])
    with torch.no_grad():
        expected = model(ids, labels=labels).loss
        assert torch.equal(model(ids, shift_labels=labels).loss, expected)
        assert torch.equal(model(ids, labels=ids, shift_labels=labels).loss, expected)


def test_the_limits_themselves_are_allowed():
    model = make_model(GLMModel)
    with torch.no_grad():
        for ids in (torch.full((1, 49), 11), torch.tensor([[CLS, MASK, SOP, *[11] * 47]])):
            assert compute_position_ids(ids, model.config).max() == model.config.max_position_embeddings
            states = model(ids).last_hidden_state
            assert states.shape == (*ids.shape, model.config.hidden_size)
            assert states.isfinite().all()


def test_a_cache_without_positions_is_refused():
    model = make_model(GLMForConditionalGeneration)
    with torch.no_grad():
        first = model(torch.tensor([[CLS, MASK, EOS, SOP]]))
        with pytest.raises(ValueError, match=r"holds 4 tokens.*position_ids"):
            model(torch.tensor([[11]]), past_key_values=first.past_key_values)
        part_a = torch.tensor([[[3], [0]]])
        with pytest.raises(ValueError, match="give it at once"):
            model(torch.tensor([[11]]), past_key_values=first.past_key_values, position_ids=part_a)

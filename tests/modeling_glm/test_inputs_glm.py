"""Everything that a model can be given wrongly is refused in words: name, what was found, what was expected."""

import re

import pytest
import torch
from transformers import DynamicCache, StaticCache

from modeling_glm import (
    GLMForConditionalGeneration,
    GLMForMultipleChoice,
    GLMForQuestionAnswering,
    GLMForSequenceClassification,
    GLMForTokenClassification,
    GLMModel,
)
from modeling_glm.inputs_glm import require_count, require_integers
from modeling_glm.layout_glm import compute_position_ids
from tests.support.models import TOKEN_IDS, make_model

CLS, MASK, EOS, SOP = (TOKEN_IDS[f"{name}_token_id"] for name in ("cls", "mask", "eos", "sop"))
IDS = torch.tensor([[CLS, 11, MASK, 12, EOS, SOP, 13], [CLS, MASK, 14, 15, EOS, SOP, 16]])
ONES = torch.ones_like(IDS)
CONTEXTS = torch.tensor([[CLS, 11, MASK, 12, EOS], [CLS, MASK, 14, 15, EOS]])
CHOICES = torch.tensor([[[11, 12], [13, -100]], [[14, 15], [16, 17]]])
HEADS = [
    GLMModel,
    GLMForConditionalGeneration,
    GLMForSequenceClassification,
    GLMForTokenClassification,
    GLMForQuestionAnswering,
    GLMForMultipleChoice,
]


@pytest.fixture(scope="module")
def models() -> dict[str, torch.nn.Module]:
    found = {head.__name__: make_model(head, num_labels=3) for head in HEADS}
    for model in found.values():
        model.requires_grad_(False)
    return found


@pytest.fixture(scope="module")
def base(models) -> GLMModel:
    return models["GLMModel"]


@pytest.fixture(scope="module")
def model(models) -> GLMForConditionalGeneration:
    return models["GLMForConditionalGeneration"]


WRONG_IDS = {
    "floats": (IDS.float(), "has shape (2, 7) and dtype torch.float32: expected int64"),
    "halves": (IDS.half(), "dtype torch.float16: expected int64"),
    "not a number": (torch.full((2, 7), torch.nan), "dtype torch.float32: expected int64"),
    "bools": (IDS.bool(), "dtype torch.bool: expected int64"),
    "complex": (IDS.to(torch.complex64), "dtype torch.complex64: expected int64"),
    "list": (IDS.tolist(), "is a list: expected int64"),
    "array": (IDS.numpy(), "is a ndarray: expected int64"),
    "text": ("a text", "is a str: expected int64"),
    "number": (3, "is a int: expected int64"),
    "sparse": (IDS.to_sparse(), "layout torch.sparse_coo: expected int64"),
    "meta": (IDS.to("meta"), "is on the device meta, so it has no values"),
    "no rows": (IDS[:0], "has shape (0, 7) and dtype torch.int64: expected at least one row"),
    "no columns": (IDS[:, :0], "has shape (2, 0) and dtype torch.int64: expected at least one row"),
}
WRONG_SHAPES = {
    "no dimension": (torch.tensor(3), "has shape () and dtype torch.int64: expected int64 (batch, seq)"),
    "one row": (
        IDS[0],
        "has shape (7,) and dtype torch.int64: expected int64 (batch, seq). Give one row as input_ids[None]",
    ),
    "three dimensions": (IDS[None], "has shape (1, 2, 7) and dtype torch.int64: expected int64 (batch, seq)"),
}
OUTSIDE = {
    "negative": (
        torch.where(IDS == 12, -3, IDS),
        "input_ids holds -3 (row 0, column 3), but the vocabulary is 0 ... 63",
    ),
    "large": (torch.where(IDS == 16, 64, IDS), "input_ids holds 64 (row 1, column 6), but the vocabulary is 0 ... 63"),
    "huge": (IDS * 10**15, f"input_ids holds {2 * 10**15} (row 0, column 0), but the vocabulary is 0 ... 63"),
}


@pytest.mark.parametrize("head", [head.__name__ for head in HEADS[:-1]])
@pytest.mark.parametrize(
    ("ids", "message"),
    [*WRONG_IDS.values(), *WRONG_SHAPES.values(), *OUTSIDE.values()],
    ids=[*WRONG_IDS, *WRONG_SHAPES, *OUTSIDE],
)
def test_ids(models, head, ids, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        models[head](ids)


@pytest.mark.parametrize(("ids", "message"), WRONG_IDS.values(), ids=WRONG_IDS)
def test_ids_of_choices(models, ids, message):
    with pytest.raises(ValueError, match=f"input_ids .*{re.escape(message)}"):
        models["GLMForMultipleChoice"](
            ids, choice_ids=CHOICES[: len(ids)] if isinstance(ids, torch.Tensor) else CHOICES
        )


@pytest.mark.parametrize("dtype", [torch.int32, torch.int16, torch.int8, torch.uint8])
def test_other_integers_are_ids_too(models, dtype):
    positions = compute_position_ids(IDS, models["GLMModel"].config)
    for head in HEADS[:-1]:
        model = models[head.__name__]
        expected = model(IDS, position_ids=positions)[0]
        found = model(IDS.to(dtype), attention_mask=ONES.to(dtype), position_ids=positions.to(dtype))[0]
        torch.testing.assert_close(found, expected)
    scorer = models["GLMForMultipleChoice"]
    if dtype != torch.uint8:  # it has no -100
        found = scorer(CONTEXTS.to(dtype), choice_ids=CHOICES.to(dtype)).logits
        torch.testing.assert_close(found, scorer(CONTEXTS, choice_ids=CHOICES).logits)
    filled = model_of(models).generate(IDS.to(dtype), max_new_tokens=2)
    assert torch.equal(filled, model_of(models).generate(IDS, max_new_tokens=2))


def model_of(models):
    return models["GLMForConditionalGeneration"]


WRONG_MASKS = {
    "short": (ONES[:, :5], "has shape (2, 5): expected (batch, seq) = (2, 7), 0 for padding"),
    "long": (torch.ones(2, 9), "has shape (2, 9): expected (batch, seq) = (2, 7)"),
    "empty": (ONES[:, :0], "has shape (2, 0): expected (batch, seq) = (2, 7)"),
    "fewer rows": (ONES[:1], "has shape (1, 7): expected (batch, seq) = (2, 7)"),
    "more rows": (torch.ones(3, 7), "has shape (3, 7): expected (batch, seq) = (2, 7)"),
    "one row": (ONES[0], "has shape (7,): expected (batch, seq) with 0 for padding, or a 4D mask"),
    "three dimensions": (ONES[None], "has shape (1, 2, 7): expected (batch, seq)"),
    "five dimensions": (ONES.bool()[None, :, None, None], "has shape (1, 2, 1, 1, 7): expected (batch, seq)"),
    "list": (ONES.tolist(), "is a list: expected a tensor (batch, seq) with 0 for padding"),
    "text": ("x", "is a str: expected a tensor"),
    "complex": (ONES.to(torch.complex64), "dtype torch.complex64: expected a tensor"),
    "sparse": (ONES.to_sparse(), "layout torch.sparse_coo: expected a tensor"),
    "halves": (ONES * 0.5, "dtype torch.float32: expected 0 for padding and 1 for all other tokens"),
    "added to scores": (ONES * -1e9, "dtype torch.float32: expected 0 for padding and 1 for all other tokens"),
    "not a number": (ONES * torch.nan, "dtype torch.float32: expected 0 for padding and 1 for all other tokens"),
    "4D of more rows": (torch.ones(3, 1, 7, 7).bool(), "that broadcasts to (batch, heads, seq, keys) = (2, 4, 7, 7)"),
    "4D of other heads": (torch.ones(2, 3, 7, 7).bool(), "has shape (2, 3, 7, 7): expected a 4D mask that broadcasts"),
    "4D of other queries": (torch.ones(2, 1, 5, 7).bool(), "has shape (2, 1, 5, 7): expected a 4D mask"),
    "4D of other keys": (torch.zeros(2, 1, 7, 9), "has shape (2, 1, 7, 9): expected a 4D mask"),
}


@pytest.mark.parametrize("head", ["GLMModel", "GLMForConditionalGeneration", "GLMForSequenceClassification"])
@pytest.mark.parametrize(("mask", "message"), WRONG_MASKS.values(), ids=WRONG_MASKS)
def test_masks(models, head, mask, message):
    with pytest.raises(ValueError, match=f"attention_mask .*{re.escape(message)}"):
        models[head](IDS, attention_mask=mask)


@pytest.mark.parametrize("fill", [0.5, torch.nan])
def test_masks_of_four_dimensions_are_bool_or_added(base, fill):
    with pytest.raises(ValueError, match="give a bool or integer one for 0/1"):
        base(IDS, attention_mask=torch.full((2, 1, 7, 7), fill))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bool, torch.int32, torch.uint8])
def test_zeros_and_ones_of_any_type_are_masks(base, dtype):
    hidden = ONES.clone()
    hidden[0, 1] = 0
    expected = base(IDS, attention_mask=hidden)[0]
    torch.testing.assert_close(base(IDS, attention_mask=hidden.to(dtype))[0], expected)


POSITIONS = compute_position_ids(IDS, make_model(GLMModel).config)
WRONG_POSITIONS = {
    "floats": (POSITIONS.float(), "has shape (2, 2, 7) and dtype torch.float32: expected int64 (batch, 2, seq)"),
    "bools": (POSITIONS.bool(), "dtype torch.bool: expected int64"),
    "list": (POSITIONS.tolist(), "is a list: expected int64"),
    "text": ("x", "is a str: expected int64"),
    "one dimension": (POSITIONS[0, 0], "has shape (7,): expected (batch, 2, seq) = (2, 2, 7)"),
    "two dimensions": (POSITIONS[:, 0], "has shape (2, 7): expected (batch, 2, seq) = (2, 2, 7)"),
    "four dimensions": (POSITIONS[None], "has shape (1, 2, 2, 7): expected (batch, 2, seq) = (2, 2, 7)"),
    "short": (POSITIONS[..., :5], "has shape (2, 2, 5): expected (batch, 2, seq) = (2, 2, 7)"),
    "three rows": (POSITIONS.repeat(1, 2, 1)[:, :3], "has shape (2, 3, 7): expected"),
    "another batch": (POSITIONS.repeat(2, 1, 1)[:3], "has shape (3, 2, 7): expected"),
    "negative": (POSITIONS - 1, "position_ids holds -1 (text 0, row 0, column 0): expected 0 ... 48"),
    "large": (POSITIONS + 100, "Part A (the text with its blanks) of row 0 reaches 105 tokens, but 49 are the limit"),
}


@pytest.mark.parametrize(("positions", "message"), WRONG_POSITIONS.values(), ids=WRONG_POSITIONS)
def test_positions(models, positions, message):
    for call in (models["GLMModel"], models["GLMForTokenClassification"], model_of(models).generate):
        with pytest.raises(ValueError, match=re.escape(message)):
            call(IDS, position_ids=positions)


def test_long_pieces_name_their_row(base):
    ids = torch.tensor([[CLS, MASK, EOS, SOP] + [11] * 47, [CLS, MASK, SOP] + [11] * 48])
    with pytest.raises(ValueError, match=r"of row 1 reaches 49 tokens, but 48 are the limit"):
        base(ids)


def test_positions_of_models_with_one_table():
    model = make_model(GLMModel, block_position_embeddings=False).requires_grad_(False)
    place = POSITIONS[:, 0]
    torch.testing.assert_close(model(IDS[:, :5], position_ids=place[:1, :5])[0], model(IDS[:, :5])[0])
    for wrong in (place[:, :3], place.repeat(2, 1)[:3]):
        with pytest.raises(ValueError, match=r"expected \(batch, seq\) = \(2, 7\), or \(batch, 2, seq\)"):
            model(IDS, position_ids=wrong)
    # A hidden start of piece opens no piece there either.
    mask = ONES.masked_fill(IDS == SOP, 0)
    assert (model(IDS, attention_mask=mask, position_ids=place)[0] != model(IDS, position_ids=place)[0]).any()


@pytest.mark.parametrize(
    ("branch", "message"),
    [
        (ONES.float(), "dtype torch.float32: expected int64"),
        (ONES.bool(), "dtype torch.bool: expected int64"),
        (ONES.tolist(), "is a list"),
        (ONES[:, :3], "has shape (2, 3): expected (batch, seq) = (2, 7)"),
        (ONES[:1], "has shape (1, 7): expected (batch, seq) = (2, 7)"),
        (ONES[0], "has shape (7,): expected (batch, seq) = (2, 7)"),
        (torch.ones(3, 7).long(), "has shape (3, 7): expected (batch, seq) = (2, 7)"),
        (-ONES, "holds a negative number"),
    ],
)
def test_branches(base, branch, message):
    with pytest.raises(ValueError, match=f"branch .*{re.escape(message)}"):
        base(IDS, position_ids=POSITIONS, branch=branch)


def test_caches(model, models):
    def cache_of(other=model, ids=IDS):
        return other(ids, use_cache=True).past_key_values

    next_place = torch.tensor([[[2], [3]]])
    token = torch.tensor([[11]])
    behind = {"position_ids": next_place}
    static = StaticCache(config=model.config, max_cache_len=8)
    model(IDS, past_key_values=static, use_cache=True)
    wrong = {
        "holds 2 rows, but the input has 1": (token, {"past_key_values": cache_of()}),
        "holds 2 rows, but the input has 3": (token.expand(3, 1), {"past_key_values": cache_of()}),
        "= (2, 4, 8), but the model (3, 4, 8)": (
            token.expand(2, 1),
            {"past_key_values": cache_of(make_model(GLMForConditionalGeneration, num_hidden_layers=2))},
        ),
        "= (3, 2, 16), but the model (3, 4, 8)": (
            token.expand(2, 1),
            {"past_key_values": cache_of(make_model(GLMForConditionalGeneration, num_attention_heads=2))},
        ),
        "past_key_values is a tuple: expected a Cache": (token, {"past_key_values": ((1, 2),)}),
        "past_key_values is a str: expected a Cache": (token, {"past_key_values": "x"}),
        "past_key_values is a list: expected a Cache": (token, {"past_key_values": []}),
        "(2, 1): expected (batch, seq) = (2, 8) with the tokens that past_key_values holds": (
            token.expand(2, 1),
            {"past_key_values": cache_of(), "attention_mask": torch.ones(2, 1)},
        ),
        "(2, 9): expected (batch, seq) = (2, 8) with the tokens that past_key_values holds": (
            token.expand(2, 1),
            {"past_key_values": cache_of(), "attention_mask": torch.ones(2, 9)},
        ),
        "has room for 8 tokens, but 7 are held and 2 come": (
            token.expand(2, 2),
            {"past_key_values": static, "position_ids": torch.tensor([[[2, 2], [3, 4]]])},
        ),
        "has room for 4 tokens, but 0 are held and 7 come": (
            IDS,
            {"past_key_values": StaticCache(config=model.config, max_cache_len=4), "position_ids": None},
        ),
    }
    for message, (ids, how) in wrong.items():
        with pytest.raises(ValueError, match=re.escape(message)):
            model(ids, **{**behind, **how})
    assert (
        model(token.expand(2, 1), past_key_values=cache_of(), attention_mask=torch.ones(2, 8), **behind).logits.shape[
            0
        ]
        == 2
    )
    assert model(IDS, past_key_values=DynamicCache(config=model.config)).logits.shape[0] == 2


def test_embeddings(base, model):
    embeds = base.word_embeddings(IDS)
    wrong = {
        "has shape (7, 32): expected (batch, seq, 32)": embeds[0],
        "has shape (1, 2, 7, 32): expected (batch, seq, 32)": embeds[None],
        "has shape (2, 7, 20): expected (batch, seq, 32)": embeds[..., :20],
        "has shape (2, 7) and dtype torch.int64": IDS,
        "dtype torch.complex64": embeds.to(torch.complex64),
        "is a list": embeds.tolist(),
        "is a str": "x",
        "has shape (0, 7, 32) and dtype torch.float32: expected at least one row": embeds[:0],
        "has shape (2, 0, 32) and dtype torch.float32: expected at least one row": embeds[:, :0],
    }
    for message, values in wrong.items():
        for call in (base, model.generate):
            with pytest.raises(ValueError, match=f"inputs_embeds .*{re.escape(message)}"):
                call(inputs_embeds=values)
    with pytest.raises(ValueError, match=r"dtype torch.float64, but the model computes in torch.float32"):
        base(inputs_embeds=embeds.double())
    with pytest.raises(ValueError, match="not one token that is a row"):
        base(inputs_embeds=embeds * torch.nan)


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        (-3, "logits_to_keep is -3"),
        (True, "logits_to_keep is True"),
        (1.5, "logits_to_keep is 1.5"),
        ([0], r"logits_to_keep is [0]"),
        (torch.tensor([0, 7]), "in 0 ... 6"),
        (torch.tensor([-8]), "in 0 ... 6"),
        (torch.tensor([0.0]), "dtype torch.float32"),
        (torch.tensor([True]), "dtype torch.bool"),
        (torch.ones(2, 2).long(), "a tensor (kept,)"),
    ],
)
def test_logits_to_keep(model, keep, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        model(IDS, logits_to_keep=keep)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int16, torch.uint8])
def test_kept_positions_have_any_type_of_integers(model, dtype):
    kept = torch.tensor([0, 3, 1])
    torch.testing.assert_close(model(IDS, logits_to_keep=kept.to(dtype)).logits, model(IDS).logits[:, kept])
    positions = POSITIONS.to(dtype)
    how = {"max_new_tokens": 3, "min_new_tokens": 3}
    expected = model.generate(IDS, position_ids=POSITIONS, **how)
    assert torch.equal(model.generate(IDS, position_ids=positions, **how), expected)


def test_labels_of_the_base_model(base):
    with pytest.raises(ValueError, match="labels is given, but GLMModel has no head"):
        base(IDS, labels=IDS)
    assert base(IDS, labels=None).last_hidden_state.shape == (2, 7, 32)


NOT_LABELS = {
    "is a list": [1, 2],
    "is a int": 3,
    "is a str": "x",
    "dtype torch.complex64": torch.ones(2).to(torch.complex64),
    "layout torch.sparse_coo": torch.ones(2).to_sparse(),
    "is on the device meta": torch.ones(2, dtype=torch.long, device="meta"),
}


@pytest.mark.parametrize("head", [head.__name__ for head in HEADS[1:]])
@pytest.mark.parametrize(("message", "labels"), NOT_LABELS.items(), ids=NOT_LABELS)
def test_labels_that_are_no_tensors_of_numbers(models, head, message, labels):
    arguments = {"labels": labels}
    name = "labels"
    if head == "GLMForQuestionAnswering":
        arguments, name = {"start_positions": labels, "end_positions": torch.tensor([1, 2])}, "start_positions"
    inputs = {"input_ids": IDS}
    if head == "GLMForMultipleChoice":
        inputs = {"input_ids": CONTEXTS, "choice_ids": CHOICES}
    with pytest.raises(ValueError, match=f"{name} .*{re.escape(message)}"):
        models[head](**inputs, **arguments)


@pytest.mark.parametrize("head", ["GLMForConditionalGeneration", "GLMForTokenClassification"])
def test_labels_beside_embeddings(models, head):
    embeds = models[head].get_input_embeddings()(IDS)
    for labels, message in (([], "labels is a list"), (IDS[None], r"labels has the shape \(1, 2, 7\)")):
        with pytest.raises(ValueError, match=message):
            models[head](inputs_embeds=embeds, labels=labels)


WRONG_CHOICES = {
    "floats": (CHOICES.float(), "choice_ids has shape (2, 2, 2) and dtype torch.float32: expected int64"),
    "bools": (CHOICES.bool(), "dtype torch.bool: expected int64"),
    "list": (CHOICES.tolist(), "choice_ids is a list"),
    "large": (CHOICES + 60, "choice_ids[0, 0, 0] = 71: expected ids of the vocabulary, 0 ... 63"),
    "negative": (torch.where(CHOICES == 16, -1, CHOICES), "choice_ids[1, 1, 0] = -1: expected ids of the vocabulary"),
    "a gap": (torch.tensor([[[11, 12, 13], [14, -100, 15]]] * 2), "choice_ids[0, 1, 1] = -100 stands before a token"),
    "a gap at the start": (
        torch.tensor([[[-100, 11], [13, 14]]] * 2),
        "choice_ids[0, 0, 0] = -100 stands before a token",
    ),
    "no choices": (CHOICES[:, :0], "choice_ids has shape (2, 0, 2) and dtype torch.int64: expected at least one"),
    "no tokens": (CHOICES[..., :0], "choice_ids has shape (2, 2, 0) and dtype torch.int64: expected at least one"),
    "another batch": (CHOICES[:1], "choice_ids has shape (1, 2, 2), input_ids (2, 5)"),
    "one dimension": (CHOICES[0, 0], "choice_ids has shape (2,), input_ids (2, 5)"),
    "an absent row": (CHOICES.index_fill(0, torch.tensor([1]), -100), "without a single choice: row 1"),
}


@pytest.mark.parametrize(("choices", "message"), WRONG_CHOICES.values(), ids=WRONG_CHOICES)
def test_choices(models, choices, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        models["GLMForMultipleChoice"](CONTEXTS, choice_ids=choices)


def test_masks_and_positions_of_choices(models):
    scorer, positions = models["GLMForMultipleChoice"], compute_position_ids(CONTEXTS, make_model(GLMModel).config)
    ones = torch.ones_like(CONTEXTS)
    wrong = {
        "attention_mask has shape (2, 4): expected that of input_ids, (2, 5)": {"attention_mask": ones[:, :4]},
        "attention_mask has shape (1, 5): expected that of input_ids": {"attention_mask": ones[:1]},
        "attention_mask is a list": {"attention_mask": ones.tolist()},
        "expected 0 for padding and 1 for all other tokens": {"attention_mask": ones * -1e9},
        "no blank left to score choices for (row 1)": {
            "attention_mask": torch.where(CONTEXTS[:, 1:2] == MASK, 0, ones)
        },
        "position_ids has shape (1, 2, 5): expected (2, 2, 5)": {"position_ids": positions[:1]},
        "position_ids has shape (2, 5): expected (2, 2, 5)": {"position_ids": positions[:, 0]},
        "position_ids has shape (2, 2, 3): expected (2, 2, 5)": {"position_ids": positions[..., :3]},
        "position_ids is a list": {"position_ids": positions.tolist()},
        "position_ids holds -1 (text 0, row 0, column 0)": {"position_ids": positions - 1},
    }
    for message, how in wrong.items():
        with pytest.raises(ValueError, match=re.escape(message)):
            scorer(CONTEXTS, choice_ids=CHOICES, **how)


WRONG_PROMPTS = {
    "input_ids has shape (1, 2, 7) and dtype torch.int64: expected int64 (batch, seq), or (seq,)": {
        "input_ids": IDS[None]
    },
    "input_ids has shape () and dtype": {"input_ids": torch.tensor(3)},
    "input_ids has shape (2, 7) and dtype torch.bool": {"input_ids": IDS.bool()},
    "input_ids has shape (2, 7) and dtype torch.float32": {"input_ids": IDS.float().tolist()},
    "layout torch.sparse_coo": {"input_ids": IDS.to_sparse()},
    "input_ids has shape (0, 7)": {"input_ids": IDS[:0]},
    "input_ids has shape (2, 0)": {"input_ids": IDS[:, :0]},
    "input_ids is on the device meta": {"input_ids": IDS.to("meta")},
    "input_ids is a str that is not a table of ids": {"input_ids": "a text"},
    "input_ids holds 77 (row 1, column 2)": {"input_ids": torch.where(IDS == 14, 77, IDS)},
    "attention_mask has shape (2, 5), but input_ids has (2, 7)": {"attention_mask": ONES[:, :5]},
    "attention_mask has shape (1, 7), but input_ids has (2, 7)": {"attention_mask": ONES[0]},
    "attention_mask has shape (3, 7), but input_ids has (2, 7)": {"attention_mask": torch.ones(3, 7)},
    "attention_mask has shape (2, 1, 7, 7)": {"attention_mask": torch.ones(2, 1, 7, 7)},
    "expected 0 for padding and 1 for all other tokens": {"attention_mask": ONES * -1e9},
    "Row 1 of input_ids has no blank": {"attention_mask": ONES.index_fill(0, torch.tensor([1]), 0)},
    "labels has the shape (2, 4): expected (batch, seq) = (2, 7)": {"labels": ONES[:, :4]},
    "labels has shape (2, 7) and dtype torch.float32": {"labels": ONES.float()},
    "labels has shape (1, 2, 7)": {"labels": ONES[None]},
    "labels[0, 0] = 99 is outside the vocabulary": {"labels": ONES * 99},
    "labels[0, 0] = -1 is outside the vocabulary": {"labels": -ONES},
    "labels is a str that is not": {"labels": "x"},
    "negative_prompt_ids holds 99 (row 0, column 0)": {"negative_prompt_ids": [[99]], "guidance_scale": 2.0},
    "negative_prompt_ids has shape (1, 1) and dtype": {"negative_prompt_ids": [[1.5]], "guidance_scale": 2.0},
    "pad_token_id=6 is the start of a piece": {"pad_token_id": SOP},
    "pad_token_id=999 is outside the vocabulary, 0 ... 63": {"pad_token_id": 999},
    "pad_token_id=-5 must be an id": {"pad_token_id": -5},
    "pad_token_id=1.5 must be a whole number": {"pad_token_id": 1.5},
    "eos_token_id=999 is outside the vocabulary": {"eos_token_id": [7, 999]},
    "eos_token_id='x' must be a whole number": {"eos_token_id": "x"},
    "eos_token_id=6 is the start of a piece": {"eos_token_id": torch.tensor(SOP)},
    "max_new_tokens_per_blank=1.5 must be a whole number": {"max_new_tokens_per_blank": 1.5},
    "max_new_tokens_per_blank='3' must be": {"max_new_tokens_per_blank": "3"},
    "max_new_tokens_per_blank=True must be": {"max_new_tokens_per_blank": True},
    "max_new_tokens=2.5 must be a whole number": {"max_new_tokens": 2.5},
    "score_observers is 3": {"score_observers": 3},
    "given twice, as inputs and as input_ids": {"inputs": IDS},
    "the same tokens in both": {"inputs_embeds": torch.zeros(2, 3, 32)},
    "generation_attention_mask has shape (2, 1, 3, 3)": {
        "position_ids": POSITIONS,
        "generation_attention_mask": torch.ones(2, 1, 3, 3),
    },
    "generation_attention_mask has shape (2, 7)": {"position_ids": POSITIONS, "generation_attention_mask": ONES},
    "the last token of row 0 of input_ids, or a later one, is in Part A": {
        "position_ids": torch.cat((POSITIONS, POSITIONS), dim=-1)
    },
}


@pytest.mark.parametrize(("message", "how"), WRONG_PROMPTS.items(), ids=range(len(WRONG_PROMPTS)))
def test_prompts(model, message, how):
    with pytest.raises(ValueError, match=re.escape(message)):
        model.generate(**{"input_ids": IDS, **how})


def test_prompts_behind_a_cache(model):
    first = model.generate(IDS, max_new_tokens=3, eos_token_id=-1, return_dict_in_generate=True)
    cache, ids = first.past_key_values, first.sequences
    with pytest.raises(ValueError, match="past_key_values holds 9 tokens, but input_ids has 7"):
        model.generate(IDS, past_key_values=cache)
    moved = torch.ones_like(ids)
    moved[0, 6] = 0
    with pytest.raises(ValueError, match="padding behind the start of a piece"):
        model.generate(ids, attention_mask=moved, past_key_values=cache)


def test_whole_numbers():
    assert [require_count(value, "n") for value in (3, torch.tensor(3))] == [3, 3]
    for value in (1.0, "1", True, None, [1], torch.tensor([1, 2]), torch.tensor(1.5)):
        with pytest.raises(ValueError, match=r"n=.* must be a whole number"):
            require_count(value, "n")


def test_graphs_are_traced_without_checks_of_shapes(base):
    """A comparison of shapes would fix them in the graph."""
    found = torch.jit.trace(lambda values: require_integers(values, "ids", "(batch, seq)") + 1, (IDS,))
    assert torch.equal(found(IDS[:1]), IDS[:1] + 1)

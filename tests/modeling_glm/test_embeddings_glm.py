"""Inputs without ids: what is found in embeddings, that they give the numbers of their ids, and virtual tokens."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from transformers import DynamicCache, set_seed

from modeling_glm import (
    GLMForConditionalGeneration,
    GLMForQuestionAnswering,
    GLMForSequenceClassification,
    GLMForTokenClassification,
    GLMModel,
)
from modeling_glm.embeddings_glm import UNKNOWN, find_all_ids, find_special_ids, find_virtual_keys
from modeling_glm.layout_glm import compute_position_ids
from tests.support.models import TOKEN_IDS, make_model, pad_rows, tiny_config, words

PAD, EOS, CLS, MASK, SMASK, GMASK, SOP, EOP = TOKEN_IDS.values()
ROWS = [
    [CLS, 11, MASK, 12, SMASK, EOS, SOP, 13, 14, SOP, 15],
    [CLS, MASK, 16, EOS, SOP, 17],
    [CLS, 18, 19, GMASK, SOP, 20, 21],
    [22, 23, MASK, SOP, 24],
]
PROMPTS = [
    [CLS, 11, MASK, 12, MASK, EOS],
    [CLS, MASK, 16, EOS],
    [CLS, 18, 19, 20, GMASK],
    [CLS, 21, SMASK, EOS, SOP, 22],
]
CLASSES = [
    GLMModel,
    GLMForConditionalGeneration,
    GLMForSequenceClassification,
    GLMForTokenClassification,
    GLMForQuestionAnswering,
]


def batch(rows: list[list[int]], side: str = "right") -> dict[str, torch.Tensor]:
    mask = pad_rows([[1] * len(row) for row in rows], side)
    return {"input_ids": pad_rows(rows, side), "attention_mask": mask}


def embedded(model: nn.Module, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give embeddings in place of ids."""
    others = {name: value for name, value in inputs.items() if name != "input_ids"}
    return {"inputs_embeds": model.get_input_embeddings()(inputs["input_ids"]), **others}


def assert_same_outputs(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if isinstance(value, torch.Tensor):
            torch.testing.assert_close(found[name], value, rtol=0, atol=0, msg=name)


@pytest.mark.parametrize("model_class", CLASSES, ids=lambda c: c.__name__)
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_embeddings_give_the_numbers_of_their_ids(model_class, side, implementation):
    model = make_model(model_class, attn_implementation=implementation)
    inputs = batch(ROWS[:3], side)
    with torch.no_grad():
        assert_same_outputs(model(**embedded(model, inputs)), model(**inputs))
        for row in ROWS:  # without a mask, and without the token that opens a text
            alone = {"input_ids": torch.tensor([row])}
            assert_same_outputs(model(**embedded(model, alone)), model(**alone))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([PAD, EOS, CLS, MASK, SMASK, GMASK, SOP, EOP, *range(10, 16)]), min_size=1, max_size=12)
)
def test_any_ids_give_the_same_numbers_as_embeddings(ids):
    model = make_model(GLMForConditionalGeneration)
    inputs = {"input_ids": torch.tensor([ids])}
    with torch.no_grad():
        assert_same_outputs(model(**embedded(model, inputs)), model(**inputs))


def test_loss_and_gradients_are_those_of_the_ids():
    model = make_model(GLMForConditionalGeneration).train()
    inputs = batch(ROWS[:3])
    part_b = compute_position_ids(inputs["input_ids"], model.config, inputs["attention_mask"])[:, 1] > 0
    labels = torch.where(part_b & (inputs["attention_mask"] != 0), 30, -100)
    results = []
    for form in (inputs, embedded(model, inputs)):
        model.zero_grad()
        loss = model(**form, labels=labels).loss
        loss.backward()
        results.append([loss.detach(), *(p.grad.clone() for p in model.parameters() if p.grad is not None)])
    torch.testing.assert_close(*results)


@pytest.mark.parametrize("model_dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64], ids=str)
def test_tokens_are_found_in_every_dtype(model_dtype, dtype):
    """Embeddings may be cast in between, as PEFT and autocast do."""
    model = make_model(GLMModel).to(model_dtype)
    ids = torch.arange(64).view(4, 16)
    states = model.word_embeddings(ids).to(dtype)
    assert torch.equal(find_all_ids(states, model.word_embeddings, model.config), ids)
    special = find_special_ids(states, model.word_embeddings, model.config)
    assert torch.equal(special, torch.where(ids < 8, ids, UNKNOWN))


def test_virtual_tokens_are_not_found():
    model = make_model(GLMModel)
    states = torch.cat((torch.randn(1, 3, 32), model.word_embeddings(torch.tensor([[CLS, 11, MASK]]))), dim=1)
    for find, last in ((find_all_ids, [CLS, 11, MASK]), (find_special_ids, [CLS, UNKNOWN, MASK])):
        assert find(states, model.word_embeddings, model.config)[0].tolist() == [UNKNOWN] * 3 + last


def test_equal_rows_are_read_as_the_mask():
    """The published GLM-10B-Chinese has the same row for `[gMASK]` and for the end of a piece, which is never fed."""
    model = make_model(GLMForConditionalGeneration)
    with torch.no_grad():
        model.glm.word_embeddings.weight[GMASK] = model.glm.word_embeddings.weight[EOP]
        inputs = {"input_ids": torch.tensor([[CLS, 11, GMASK, SOP, 12]])}
        assert_same_outputs(model(**embedded(model, inputs)), model(**inputs))


def test_adapted_embeddings_are_read_through_their_module():
    """PEFT and accelerate wrap the module. Its weight is then not what it returns."""

    class Scaled(nn.Embedding):
        def forward(self, input_ids):
            return 2 * super().forward(input_ids)

    model = make_model(GLMForConditionalGeneration)
    scaled = Scaled(64, 32)
    scaled.weight = model.glm.word_embeddings.weight
    model.glm.word_embeddings = scaled
    inputs = batch(ROWS[:3])
    with torch.no_grad():
        assert_same_outputs(model(**embedded(model, inputs)), model(**inputs))


CHANGES = {
    "noise": lambda states: states + 1e-3 * torch.randn_like(states),
    "scaling": lambda states: states * 5.65,
    "dropout": lambda states: nn.functional.dropout(states, 0.5),
    "another model": lambda states: torch.randn_like(states),
    "zeros": torch.zeros_like,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("model_class", CLASSES, ids=lambda c: c.__name__)
def test_embeddings_in_which_nothing_is_found_are_refused(change, model_class):
    torch.manual_seed(0)
    model = make_model(model_class)
    inputs = embedded(model, batch(ROWS[:3]))
    states = inputs["inputs_embeds"].clone()
    states[1] = change(states[1])
    with pytest.raises(ValueError, match="Row 1 of inputs_embeds has not one token that is a row"):
        model(**{**inputs, "inputs_embeds": states})
    positions = compute_position_ids(pad_rows(ROWS[:3], "right"), model.config, inputs["attention_mask"])
    model(**{**inputs, "inputs_embeds": states}, position_ids=positions)


def test_generate_refuses_them_too():
    model = make_model(GLMForConditionalGeneration)
    inputs = embedded(model, batch(PROMPTS))
    states = inputs["inputs_embeds"].clone()
    states[2] *= 1.01
    with pytest.raises(ValueError, match="Row 2 of inputs_embeds"):
        model.generate(**{**inputs, "inputs_embeds": states})


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("how", [{}, {"do_sample": True}, {"num_beams": 2}], ids=str)
def test_generate_refuses_embeddings_that_are_not_finite(how, value):
    model = make_model(GLMForConditionalGeneration)
    inputs = embedded(model, batch(PROMPTS))
    inputs["inputs_embeds"][1, 2, 0] = value
    with pytest.raises(ValueError, match="Row 1 of inputs_embeds has a value at position 2 that is not finite"):
        model.generate(**inputs, **how)


def test_a_mask_that_equals_a_start_of_piece_is_refused():
    model = make_model(GLMForConditionalGeneration)
    with torch.no_grad():
        model.glm.word_embeddings.weight[MASK] = model.glm.word_embeddings.weight[SOP]
    with pytest.raises(ValueError, match="are equal, so inputs_embeds does not tell them apart"):
        model(**embedded(model, batch(ROWS[:1])))


def behind_virtual_tokens(model: nn.Module, inputs: dict, count: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """Put virtual tokens in front, with the mask that PEFT makes."""
    states = embedded(model, inputs)["inputs_embeds"]
    generator = torch.Generator().manual_seed(seed)
    virtual = torch.randn(1, count, states.shape[-1], generator=generator).expand(states.shape[0], -1, -1)
    mask = torch.cat((torch.ones(states.shape[0], count), inputs["attention_mask"]), dim=1)
    return {"inputs_embeds": torch.cat((virtual, states), dim=1), "attention_mask": mask}


def positions_behind_virtual_tokens(config, inputs: dict, count: int) -> torch.Tensor:
    row0, row1 = compute_position_ids(inputs["input_ids"], config, inputs["attention_mask"]).unbind(1)
    virtual = torch.arange(count).expand(row0.shape[0], -1)
    return torch.stack(
        (torch.cat((virtual, row0 + count), dim=1), nn.functional.pad(row1, (count, 0))),
        dim=1,
    )


@pytest.mark.parametrize("side", ["left", "right"])
def test_virtual_tokens_are_the_first_of_part_a(side):
    model = make_model(GLMForConditionalGeneration)
    inputs = batch(ROWS[:3], side)
    soft = behind_virtual_tokens(model, inputs, 3)
    positions = positions_behind_virtual_tokens(model.config, inputs, 3)
    with torch.no_grad():
        found, expected = model(**soft).logits, model(**soft, position_ids=positions).logits
    real = soft["attention_mask"] != 0
    torch.testing.assert_close(found[real], expected[real])


def test_no_token_sees_what_it_must_predict():
    model = make_model(GLMForConditionalGeneration)
    inputs = batch(ROWS[:1])
    soft = behind_virtual_tokens(model, inputs, 3)
    changed = soft["inputs_embeds"].clone()
    changed[0, 3 + 7] = model.get_input_embeddings()(torch.tensor(40))  # the token behind the first start of piece
    with torch.no_grad():
        before, after = (model(**{**soft, "inputs_embeds": s}).logits[0] for s in (soft["inputs_embeds"], changed))
    assert torch.equal(before[: 3 + 7], after[: 3 + 7])
    assert not torch.equal(before[3 + 7], after[3 + 7])


def test_texts_are_classified_at_the_token_that_opens_them():
    model = make_model(GLMForSequenceClassification)
    inputs = batch([[CLS, 11, 12, EOS], [CLS, 13, EOS]], "left")
    soft = behind_virtual_tokens(model, inputs, 3)
    with torch.no_grad():
        states = model.glm(**soft).last_hidden_state
        expected = model.classifier(torch.stack((states[0, 3], states[1, 4])))
        torch.testing.assert_close(model(**soft).logits, expected)


@pytest.mark.parametrize("model_class", [GLMForConditionalGeneration, GLMForTokenClassification])
def test_labels_may_leave_out_the_virtual_tokens(model_class):
    """PEFT puts nothing in front of the labels of encoder-decoders and of token classifiers."""
    model = make_model(model_class)
    inputs = batch(ROWS[:3])
    soft = behind_virtual_tokens(model, inputs, 3)
    part_b = compute_position_ids(inputs["input_ids"], model.config, inputs["attention_mask"])[:, 1] > 0
    labels = torch.where(part_b & (inputs["attention_mask"] != 0), 1, -100)
    with torch.no_grad():
        short = model(**soft, labels=labels).loss
        full = model(**soft, labels=nn.functional.pad(labels, (3, 0), value=-100)).loss
    assert torch.equal(short, full)
    # Only where the texts begin behind them.
    for wrong in (labels[:, 1:], labels[:, :-1], labels[:, :0], nn.functional.pad(labels, (1, 0), value=-100)):
        with pytest.raises(ValueError, match="shape"):
            model(**soft, labels=wrong)


SETTINGS = {
    "greedy": {},
    "beams": {"num_beams": 3},
    "sampling": {"do_sample": True, "num_return_sequences": 2},
    "without a cache": {"use_cache": False},
    "static cache": {"cache_implementation": "static", "disable_compile": True},
    "processors": {"no_repeat_ngram_size": 1, "encoder_repetition_penalty": 1.5},
}


@pytest.mark.parametrize("how", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("side", ["left", "right"])
def test_generate_gives_the_same_for_embeddings(how, side):
    model = make_model(GLMForConditionalGeneration)
    inputs = batch(PROMPTS, side)
    found = []
    for form in (inputs, embedded(model, inputs), {**inputs, **embedded(model, inputs)}):
        set_seed(0)
        found.append(model.generate(**form, max_new_tokens_per_blank=4, **how).tolist())
    assert found[0] == found[1] == found[2]


@torch.no_grad()
def fill_naively(model: nn.Module, soft: dict[str, torch.Tensor], ids: list[int], limit: int) -> list[int]:
    """Fill the blanks of one row behind virtual tokens: a forward pass over everything for every token."""
    states, new = soft["inputs_embeds"], [SOP]
    blanks, length = sum(token in (MASK, SMASK, GMASK) for token in ids), 0
    embed = model.get_input_embeddings()
    while True:
        logits = model(inputs_embeds=torch.cat((states, embed(torch.tensor([new]))), dim=1)).logits[0, -1]
        logits[SOP] = -torch.inf
        token = int(logits.argmax())
        if token in (EOP, EOS) or length == limit:
            if new.count(SOP) == blanks:
                return new
            new, length = [*new, SOP], 0
        else:
            new, length = [*new, token], length + 1


@pytest.mark.parametrize("how", [{}, {"use_cache": False}], ids=str)
@pytest.mark.parametrize("side", ["left", "right"])
def test_generate_behind_virtual_tokens(how, side):
    model = make_model(GLMForConditionalGeneration)
    prompts = PROMPTS[:3]
    inputs = batch(prompts, side)
    soft = behind_virtual_tokens(model, inputs, 3)
    sequences = model.generate(**soft, max_new_tokens_per_blank=6, **how)
    for row, ids in zip(sequences.tolist(), prompts, strict=True):
        alone = behind_virtual_tokens(model, batch([ids]), 3)
        expected = fill_naively(model, alone, ids, 6)
        start = row.index(SOP)
        found = [token for token in row[start:] if token not in (EOP, EOS, PAD)]
        assert found == expected
        # In front the output shows the prompt, with padding for virtual tokens.
        assert [token for token in row[:start] if token != PAD] == [token for token in ids if token != PAD]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs_embeds": torch.zeros(1, 4)}, r"inputs_embeds has shape \(1, 4\): expected \(batch, seq, 32\)"),
        ({"inputs_embeds": torch.zeros(1, 4, 16)}, r"\(1, 4, 16\)"),
        ({"inputs_embeds": torch.zeros(1, 4, 32), "input_ids": torch.ones(1, 3).long()}, "the same tokens in both"),
    ],
)
def test_errors_of_generate(change, message):
    with pytest.raises(ValueError, match=message):
        make_model(GLMForConditionalGeneration).generate(**change)


def test_export_with_embeddings():
    model = make_model(GLMForConditionalGeneration)
    model.config.use_cache = False
    inputs = batch(ROWS[:2])
    program = torch.export.export(model, (), embedded(model, inputs), strict=False)
    other = batch([ROWS[1], ROWS[2]])
    other = {name: nn.functional.pad(value, (0, 11 - value.shape[1])) for name, value in other.items()}
    with torch.no_grad():
        found = program.module()(**embedded(model, other)).logits
        torch.testing.assert_close(found, model(**other).logits, atol=1e-5, rtol=1e-5)


def keys_of_virtual_tokens(model: nn.Module, count: int, rows: int) -> DynamicCache:
    """Make keys and values as PEFT does: tensors that no text made."""
    generator = torch.Generator().manual_seed(1)
    states = torch.randn(1, count, 32, generator=generator).expand(rows, -1, -1)
    positions = torch.stack((torch.arange(count), torch.zeros(count, dtype=torch.long)))[None]
    with torch.no_grad():
        cache = model(inputs_embeds=states, position_ids=positions, use_cache=True).past_key_values
    return DynamicCache([(layer.keys, layer.values) for layer in cache.layers])


@pytest.mark.parametrize("implementation", ["sdpa", "eager", "flex_attention"])
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("given", ["ids", "embeddings", "positions of PEFT", "own mask"])
def test_virtual_keys_are_seen_by_all_tokens(implementation, side, given):
    """Keys of virtual tokens are as these tokens in front, which see only each other."""
    model = make_model(GLMForConditionalGeneration, attn_implementation=implementation)
    inputs, count = batch(ROWS[:3], side), 3
    cache = keys_of_virtual_tokens(model.glm, count, 3)
    mask = nn.functional.pad(inputs["attention_mask"], (count, 0), value=1)
    form = embedded(model, inputs) if given == "embeddings" else dict(inputs)
    form["attention_mask"] = inputs["attention_mask"] if given == "own mask" else mask
    if given == "positions of PEFT":
        form["position_ids"] = (
            compute_position_ids(inputs["input_ids"], model.config, inputs["attention_mask"]) + count
        )
    positions = positions_behind_virtual_tokens(model.config, inputs, count)
    part_a, index = positions[:, 1] == 0, torch.arange(positions.shape[-1])
    allowed = part_a[:, None, :] | (index[None, :] <= index[:, None])
    allowed = allowed & ((index[None, :] < count) | (index[:, None] >= count)) & (mask[:, None, :] != 0)
    allowed = allowed[:, None] | torch.eye(len(index), dtype=torch.bool)
    generator = torch.Generator().manual_seed(1)
    virtual = torch.randn(1, count, 32, generator=generator).expand(3, -1, -1)
    states = torch.cat((virtual, model.get_input_embeddings()(inputs["input_ids"])), dim=1)
    with torch.no_grad():
        found = model(**form, past_key_values=cache, use_cache=False).logits
        expected = model(inputs_embeds=states, position_ids=positions, attention_mask=allowed).logits[:, count:]
    real = inputs["attention_mask"] != 0
    torch.testing.assert_close(found[real], expected[real], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("model_class", CLASSES, ids=lambda c: c.__name__)
def test_every_head_takes_virtual_keys(model_class):
    model = make_model(model_class)
    inputs = batch(ROWS[:3])
    cache = keys_of_virtual_tokens(model.base_model, 2, 3)
    states = model(**inputs, past_key_values=copy.deepcopy(cache), use_cache=False)[0]
    changed = model(**inputs, use_cache=False)[0]
    assert states.shape == changed.shape
    assert not torch.allclose(states, changed)


def test_a_cache_of_a_text_is_not_virtual():
    model = make_model(GLMForConditionalGeneration)
    ids = torch.tensor([[CLS, MASK, EOS, SOP]])
    with torch.no_grad():
        cache = model(ids, use_cache=True).past_key_values
    for more in (torch.tensor([[11]]), ids):
        with pytest.raises(ValueError, match="holds 4 tokens, whose blanks the new tokens cannot know"):
            model(more, past_key_values=cache)
    # Nor are tokens that do not begin a text a text.
    with pytest.raises(ValueError, match=r"holds 2 tokens.*must be a whole text"):
        model(torch.tensor([[11]]), past_key_values=keys_of_virtual_tokens(model.glm, 2, 1))


def test_positions_that_continue_a_piece_are_not_those_of_virtual_keys():
    """A cache that was made again from its tensors holds no mark."""
    model = make_model(GLMForConditionalGeneration)
    ids = torch.tensor([[MASK, SOP, 11, 12, 13]])  # row 1 grows as fast as the cache
    positions = compute_position_ids(ids, model.config)
    with torch.no_grad():
        expected = model(ids).logits[:, -1]
        cache = model(ids[:, :-1], use_cache=True).past_key_values
        cache = DynamicCache([(layer.keys, layer.values) for layer in cache.layers])
        found = model(ids[:, -1:], position_ids=positions[..., -1:], past_key_values=cache).logits[:, -1]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_no_virtual_keys_in_an_empty_cache():
    assert find_virtual_keys(DynamicCache(config=tiny_config()), None, None, 4, False).number == 0
    assert find_virtual_keys(None, None, None, 4, False).number == 0


@pytest.mark.parametrize("name", ["decoder_input_ids", "decoder_inputs_embeds", "encoder_outputs"])
def test_inputs_of_a_decoder_are_refused(name):
    model, ids = make_model(GLMForConditionalGeneration), torch.tensor([[CLS, *words(3), MASK, SOP]])
    model(ids, **{name: None})
    with pytest.raises(ValueError, match=f"{name} is given, but GLM has no decoder"):
        model(ids, **{name: torch.zeros(1, 2).long()})

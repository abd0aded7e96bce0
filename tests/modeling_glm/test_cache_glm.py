"""The cache that grows in place, compared with the library's, which copies."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers.cache_utils import DynamicCache, DynamicLayer

from modeling_glm import GLMForConditionalGeneration
from modeling_glm.cache_glm import ROOM, GrowingLayer, let_grow
from tests.support.models import make_model

STEPS = st.one_of(
    st.tuples(st.just("append"), st.integers(1, ROOM + 5)),
    st.tuples(st.just("select"), st.lists(st.integers(0, 1), min_size=1, max_size=3)),
    st.tuples(st.just("reorder"), st.lists(st.integers(0, 1), min_size=2, max_size=2)),
    st.tuples(st.just("repeat"), st.integers(1, 2)),
    st.tuples(st.just("crop"), st.integers(1, 3)),
    st.tuples(st.just("copy"), st.just(0)),
    # In older versions of Transformers a layer keeps its length after a reset.
    *([st.tuples(st.just("reset"), st.just(0))] if "reset" in vars(DynamicLayer) else []),
)


def apply(layer: DynamicLayer, step: str, value, states):
    """Take a step. Returns the layer after it, and the keys and values that the step returns, if any."""
    length = layer.get_seq_length()
    if step == "append":
        return layer, layer.update(*states)
    if length and step == "select":
        layer.batch_select_indices(torch.tensor(value) % len(layer.keys))
    elif length and step == "reorder":
        layer.reorder_cache(torch.tensor(value) % len(layer.keys))
    elif length and step == "repeat":
        layer.batch_repeat_interleave(value)
    elif step == "crop" and length > value:
        layer.crop(-value)
    elif step == "copy":
        layer = copy.deepcopy(layer)
    elif step == "reset":
        layer.reset()
    return layer, ()


def held(layer: DynamicLayer) -> tuple[torch.Tensor, ...]:
    return (layer.keys, layer.values) if layer.get_seq_length() else ()


@given(st.lists(st.tuples(STEPS, st.booleans()), max_size=12))
def test_it_holds_what_the_library_s_holds(steps):
    ours, theirs = GrowingLayer(), DynamicLayer()
    generator = torch.Generator().manual_seed(0)
    rows = 2
    for (step, value), inference in steps:
        if theirs.get_seq_length():
            rows = len(theirs.keys)
        elif step == "reset":
            rows = 2
        with torch.inference_mode(inference):
            states = tuple(
                torch.randn(rows, 2, value if step == "append" else 1, 3, generator=generator) for _ in "kv"
            )
            ours, got = apply(ours, step, value, states)
            theirs, expected = apply(theirs, step, value, states)
        assert ours.get_seq_length() == theirs.get_seq_length()
        for found, reference in ((got, expected), (held(ours), held(theirs))):
            assert len(found) == len(reference)
            assert all(map(torch.equal, found, reference))


def test_it_does_not_copy_while_there_is_room():
    layer = GrowingLayer()
    places = set()
    for _ in range(ROOM):
        keys, values = layer.update(torch.ones(1, 2, 1, 3), torch.ones(1, 2, 1, 3))
        places.add((keys.data_ptr(), values.data_ptr()))
    assert len(places) == 1
    layer.update(torch.ones(1, 2, 1, 3), torch.ones(1, 2, 1, 3))
    assert layer.keys.data_ptr() not in {key for key, _ in places}


def test_a_copy_is_a_layer_of_the_library_without_the_room():
    layer = GrowingLayer()
    layer.update(torch.ones(1, 2, 1, 3), torch.zeros(1, 2, 1, 3))
    copied = copy.deepcopy(layer)
    assert type(copied) is DynamicLayer
    assert copied.keys.untyped_storage().nbytes() < layer.keys.untyped_storage().nbytes()
    plain = DynamicLayer()
    plain.update(torch.ones(1, 2, 1, 3), torch.zeros(1, 2, 1, 3))
    assert vars(copied).keys() == vars(plain).keys()
    copied.update(torch.ones(1, 2, 1, 3), torch.ones(1, 2, 1, 3))
    assert layer.get_seq_length() == 1
    assert type(copy.deepcopy(GrowingLayer())) is DynamicLayer  # an empty one, as `generate` feeds it first


def test_gradients_flow_through_what_is_held():
    layer = GrowingLayer()
    first, second = (torch.ones(1, 1, 2, 3, requires_grad=True) for _ in range(2))
    layer.update(first, first)
    keys, values = layer.update(second, second)
    (keys.sum() + 2 * values.sum()).backward()
    assert torch.equal(first.grad, torch.full_like(first, 3.0))
    assert torch.equal(second.grad, torch.full_like(second, 3.0))


def test_generate_takes_it_for_its_own_cache_alone():
    model = make_model(GLMForConditionalGeneration)
    prompt = torch.tensor([[2, 11, 3, 12]])
    settings = {"max_new_tokens": 4, "eos_token_id": -1, "return_dict_in_generate": True}
    layers = model.generate(prompt, **settings).past_key_values.layers
    assert {type(layer) for layer in layers} == {GrowingLayer}
    given_cache = DynamicCache(config=model.config)
    layers = model.generate(prompt, past_key_values=given_cache, **settings).past_key_values.layers
    assert {type(layer) for layer in layers} == {DynamicLayer}
    assert isinstance(let_grow(given_cache).layers[0], DynamicLayer)


@pytest.mark.parametrize("beams", [1, 3])
def test_ids_are_those_with_the_library_s(beams):
    model = make_model(GLMForConditionalGeneration)
    prompt = torch.tensor([[2, 11, 3, 12, 3], [2, 3, 14, 3, 10]])
    settings = {"max_new_tokens_per_blank": 7, "num_beams": beams}
    expected = model.generate(prompt, past_key_values=DynamicCache(config=model.config), **settings)
    assert torch.equal(model.generate(prompt, **settings), expected)

"""Sizes, their arithmetic, and random contexts."""

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.harness.shapes import BASE, TINY, build_glm, draw_ids, find_blank, glm_config, make_contexts
from modeling_glm import GLMForConditionalGeneration

SMALL = replace(TINY, hidden=128, layers=4, vocabulary=1000, positions=64)


def test_layers_have_the_weights_of_the_arithmetic():
    model = build_glm(GLMForConditionalGeneration, SMALL)
    assert model.num_parameters() - 1000 * 128 == pytest.approx(SMALL.block_weights, rel=0.1)


def test_flops_are_those_that_torch_counts():
    model = build_glm(GLMForConditionalGeneration, SMALL, attn_implementation="eager")
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model(make_contexts(model.config, 3, 32), logits_to_keep=5)
    assert counter.get_total_flops() == pytest.approx(SMALL.forward_flops(3, 32, projected=15), rel=1e-6)


@pytest.mark.parametrize("shape", [TINY, BASE, BASE.with_vocabulary(50304)])
def test_special_tokens_are_in_the_vocabulary(shape):
    config = glm_config(shape)
    ids = [config.cls_token_id, config.mask_token_id, config.sop_token_id, config.eop_token_id]
    assert len(set(ids)) == 4
    assert max(ids) < shape.vocabulary


def test_contexts_have_their_blanks():
    config = glm_config(TINY)
    contexts = make_contexts(config, 2, 10, blanks=2)
    assert contexts.shape == (2, 10)
    assert (contexts == config.mask_token_id).nonzero().tolist() == [[0, 3], [0, 6], [1, 3], [1, 6]]
    assert find_blank(config, contexts) == 3
    assert contexts[:, 0].tolist() == [config.cls_token_id] * 2


def test_ids_are_reproducible():
    assert torch.equal(draw_ids(1000, 3, 4), draw_ids(1000, 3, 4))
    assert not torch.equal(draw_ids(1000, 3, 4), draw_ids(1000, 3, 4, seed=1))
    assert draw_ids(1000, 100).min() >= 33

"""Every model generates exactly as many tokens as asked."""

from dataclasses import replace

import pytest

from benchmarks.harness.decoder import GreedyDecoder
from benchmarks.harness.peers import BART, GPT2, T5, build_peer
from benchmarks.harness.shapes import TINY, build_glm, draw_ids, make_contexts
from modeling_glm import GLMForConditionalGeneration

SMALL = replace(TINY, hidden=64, layers=2, vocabulary=200, positions=64)


def test_glm_fills_its_blank():
    model = build_glm(GLMForConditionalGeneration, SMALL)
    filled = GreedyDecoder(model, make_contexts(model.config, 3, 20), 7)()
    assert filled.shape == (3, 20 + 1 + 7)  # context, <sop>, answer
    assert (filled[:, 20] == model.config.sop_token_id).all()


@pytest.mark.parametrize(("name", "length"), [(GPT2, 20 + 7), (T5, 1 + 7), (BART, 1 + 7)])
def test_peers_generate_as_many_tokens(name, length):
    generated = GreedyDecoder(build_peer(name, SMALL), draw_ids(200, 3, 20), 7)()
    assert generated.shape == (3, length)

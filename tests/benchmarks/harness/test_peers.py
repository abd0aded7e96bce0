"""Peers have the size that they should have."""

from dataclasses import replace

import pytest
import torch

from benchmarks.harness.peers import BART, BART_HALF, BERT, GPT2, T5, T5_HALF, build_peer, make_peer_batch
from benchmarks.harness.shapes import TINY

SMALL = replace(TINY, hidden=128, layers=4, vocabulary=1000, positions=64)


@pytest.mark.parametrize(("name", "times"), [(GPT2, 1), (BERT, 1), (T5, 2), (T5_HALF, 1), (BART, 2), (BART_HALF, 1)])
def test_peers_have_as_many_layers(name, times):
    blocks = build_peer(name, SMALL).num_parameters() - 1000 * 128
    # A layer of a decoder that reads an encoder has a second attention.
    assert 0.95 < blocks / SMALL.block_weights / times < 1.25


@pytest.mark.parametrize(
    ("name", "inputs", "labels"), [(GPT2, 40, 40), (BERT, 40, 40), (T5, 30, 10), (T5_HALF, 30, 10), (BART, 30, 10)]
)
def test_batches_have_the_tokens_of_glm(name, inputs, labels):
    batch = make_peer_batch(name, SMALL, 2, 40, encoded=30)
    assert (batch["input_ids"].shape, batch["labels"].shape) == ((2, inputs), (2, labels))
    with torch.inference_mode():
        assert 0 < build_peer(name, SMALL)(**batch).loss < 20


def test_bert_predicts_15_percent():
    labels = make_peer_batch(BERT, SMALL, 2, 40, encoded=30)["labels"]
    assert (labels != -100).float().mean() == pytest.approx(0.15)

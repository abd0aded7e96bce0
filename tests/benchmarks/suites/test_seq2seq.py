"""The seq2seq suite."""

import pytest
import torch

from benchmarks.harness.peers import BART, BART_HALF, T5, T5_HALF
from benchmarks.harness.results import Speed
from benchmarks.harness.shapes import TINY, build_glm
from benchmarks.suites import seq2seq
from modeling_glm import GLMForConditionalGeneration


def test_sources_are_different_texts():
    sources = [row["source"] for row in seq2seq.make_sources(64)]
    assert len(set(sources)) == 64
    assert min(len(source.split()) for source in sources) >= 20


def test_a_batch_has_a_blank_in_each_source_and_labels_on_its_target():
    model = build_glm(GLMForConditionalGeneration, TINY).train()
    batch = seq2seq.make_glm_batch(model.config, 3, 20, 5)
    assert batch["input_ids"].shape == (3, 25)
    assert (batch["labels"] != -100).sum(1).tolist() == [5, 5, 5]
    assert (batch["input_ids"] == model.config.mask_token_id).sum(1).tolist() == [1, 1, 1]
    with torch.no_grad():
        assert 0 < model(**batch).loss < 20


@pytest.mark.slow
def test_suite_runs(quick):
    results = seq2seq.run(quick)
    assert {type(result) for result in results} == {Speed}
    peers = [T5, T5_HALF, BART, BART_HALF]
    assert [result.peer for result in results] == ["one row at a time", *peers, *peers]
    assert all(result.ratio > 0 for result in results)

"""Training steps and their batches."""

from dataclasses import replace

import pytest
import torch

from benchmarks.harness import steps
from benchmarks.harness.peers import PEERS
from benchmarks.harness.shapes import BASE, TINY, glm_config
from modeling_glm.layout_glm import compute_position_ids

SMALL = replace(TINY, hidden=64, layers=2, vocabulary=200, positions=64)


def test_rows_have_the_share_of_labels():
    parts = steps.split_row(512)
    # 23 pieces are 69 tokens, 15% of a text of 466 tokens, whose row has 466 + 2 * 23 positions.
    assert parts == steps.RowParts(part_a=420, pieces=23)
    assert (512 - 2 * parts.pieces) * 0.15 == pytest.approx(3 * parts.pieces, rel=0.02)


def test_batch_is_a_row_of_glm():
    config = glm_config(TINY)
    batch = steps.make_batch(config, 2, 64)
    parts = steps.split_row(64)
    ids = batch["input_ids"][0]
    assert int((ids[: parts.part_a] == config.mask_token_id).sum()) == parts.pieces
    assert ids[parts.part_a :: 4].tolist() == [config.sop_token_id] * parts.pieces
    assert (batch["labels"][0] != -100).tolist() == [False] * parts.part_a + [True] * (64 - parts.part_a)
    # The model reads the layout from the ids as the batch means it.
    blocks = compute_position_ids(batch["input_ids"], config)[0, 1, parts.part_a :]
    assert blocks.tolist() == [1, 2, 3, 4] * parts.pieces


@pytest.mark.parametrize("name", [steps.GLM, steps.CHECKPOINTING, steps.NAIVE, *PEERS])
def test_steps_change_the_weights(name, monkeypatch):
    models = []
    optimizing = steps.optimizing
    monkeypatch.setattr(steps, "optimizing", lambda model, *args: models.append(model) or optimizing(model, *args))
    step = steps.make_step(name, SMALL, 2, 32)
    before = [parameter.detach().clone() for parameter in models[0].parameters()]
    step()
    assert any(not torch.equal(old, new) for old, new in zip(before, models[0].parameters(), strict=True))
    assert all(parameter.grad is None for parameter in models[0].parameters())
    assert getattr(models[0], "is_gradient_checkpointing", False) == (name == steps.CHECKPOINTING)


def test_flops_of_a_step_project_only_labels():
    labelled = 4 * (512 - steps.split_row(512).part_a)
    assert steps.step_flops(BASE, 4, 512) == 3 * BASE.forward_flops(4, 512, labelled)

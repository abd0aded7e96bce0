"""Two processes train a small model: exact bytes, and the losses of one process."""

import json
import os
from pathlib import Path

import pytest
import torch

from benchmarks.harness.shapes import Shape, build_glm
from benchmarks.harness.steps import make_batch
from benchmarks.studies.scaling.collectives import GLOO_PASSES
from benchmarks.studies.scaling.strategies import DDP, FSDP, STRATEGIES, ZERO1, ZERO2, expected_bytes
from benchmarks.studies.scaling.workers import (
    WARM_UP,
    ProcessPlan,
    make_replay,
    merge_ranks,
    run_rank,
    shape_load,
    slowest,
)
from modeling_glm import GLMForConditionalGeneration
from tests.support.kills import free_port, start_together, wait_for_all

SMALL = Shape("small", 128, 2, 512, 64)
PLAN = ProcessPlan(shape=SMALL, processes=2, rows=4, length=40, rounds=2, messages=(4096, 65536))
STEPS = WARM_UP + 2 + PLAN.rounds  # one step counts bytes, and one records collectives


def run(plan: ProcessPlan, folder: Path):
    run_rank(int(os.environ["RANK"]), plan, str(folder), "env://")


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    children = start_together(
        run, PLAN, folder, count=2, root=folder, port=free_port(), OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1"
    )
    ended = wait_for_all(children, timeout=300)
    assert [one.code for one in ended] == [0, 0], ended[0].output + ended[1].output
    return merge_ranks(PLAN, folder)


@pytest.fixture(scope="module")
def alone() -> list[float]:
    """Losses of an ordinary training loop of one process on all rows."""
    no_dropout = {"embedding_dropout": 0.0, "attention_dropout": 0.0, "hidden_dropout": 0.0}
    model = build_glm(GLMForConditionalGeneration, SMALL, **no_dropout).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    batch = make_batch(model.config, PLAN.rows, PLAN.length)
    losses = []
    for _ in range(STEPS):
        loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_losses_equal_those_of_one_process(measured, alone, strategy):
    assert measured["strategies"][strategy]["losses"] == pytest.approx(alone, abs=2e-6)
    assert alone[-1] < alone[0] - 0.5


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_bytes_on_the_wire_are_those_of_the_theory(measured, strategy):
    load = shape_load(SMALL)
    expected = expected_bytes(strategy, load.parameters, load.outer, 2, GLOO_PASSES)
    sent = measured["strategies"][strategy]["sent"]
    assert 0 <= sum(sent) / 2 - expected < 0.002 * expected  # headers of messages


@pytest.mark.slow
def test_collectives_have_the_sizes_of_the_model(measured):
    size = 4 * shape_load(SMALL).parameters
    found = {name: measured["strategies"][name]["collectives"] for name in STRATEGIES}
    assert found[DDP]["all_reduce"][1] == found[ZERO1]["broadcast"][1] == size
    assert found[ZERO1]["broadcast"][0] == 4 + 12 * SMALL.layers + 1  # one for each parameter
    # A layer is gathered before its forward pass, with FSDP again before its backward pass, and the rest once.
    assert found[ZERO2]["all_gather"][0] == SMALL.layers + 1
    assert found[FSDP]["all_gather"][0] == 2 * SMALL.layers + 1
    # Gloo has no reduce-scatter of its own.
    assert found[FSDP]["all_reduce"][0] == SMALL.layers + 1


@pytest.mark.slow
def test_buckets_hold_all_gradients_in_order(measured):
    found = measured["strategies"][DDP]
    assert sum(found["bucket bytes"]) == 4 * shape_load(SMALL).parameters
    assert found["bucket times"] == sorted(found["bucket times"])
    assert found["bucket times"][0] > 0


@pytest.mark.slow
def test_every_part_is_timed(measured):
    for name, found in measured["strategies"].items():
        parts = {"passes", "update", "collectives"} | ({"local passes"} if name in (DDP, ZERO1) else set())
        assert set(found["times"]) == set(found["cpu"]) == parts
        assert all(len(times) == PLAN.rounds and min(times) > 0 for times in found["times"].values())
    assert {size: len(times) for size, times in measured["messages"].items()} == {"4096": 6, "65536": 6}


def test_ranks_are_merged(tmp_path):
    plan = ProcessPlan(shape=SMALL, processes=2, strategies=(DDP,), messages=())
    for rank in (0, 1):
        clock = {"passes": [1.0 + rank, 3.0 - rank]}
        found = {"losses": [float(rank)], "sent": 10 + rank, "times": clock, "cpu": clock}
        (tmp_path / f"{rank}.json").write_text(json.dumps({"strategies": {DDP: found}, "messages": {}}))
    merged = merge_ranks(plan, tmp_path)["strategies"][DDP]
    assert (merged["losses"], merged["sent"], merged["times"]["passes"]) == ([0.5], [10, 11], [2.0, 3.0])
    assert slowest([[1.0, 5.0], [2.0, 4.0]]) == [2.0, 5.0]


def test_rows_must_be_divisible():
    with pytest.raises(ValueError, match=r"rows=4 must be a multiple of the 3 processes\."):
        ProcessPlan(shape=SMALL, processes=3)


def test_unknown_collective_is_not_repeated():
    with pytest.raises(ValueError, match="gather: expected one of all_reduce, broadcast, all_gather"):
        make_replay([("gather", 3)], 2)()

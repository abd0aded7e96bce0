"""The cost model: values by hand, limits and directions."""

from dataclasses import replace

import pytest

from benchmarks.studies.scaling.costs import TrainingLoad, exposed_after, step_cost, strategy_memory
from benchmarks.studies.scaling.hardware import DGX1, DGX_A100
from benchmarks.studies.scaling.strategies import DDP, FSDP, STRATEGIES, ZERO1, ZERO2
from modeling_glm import GLMConfig
from modeling_glm.configuration_glm import PRESETS
from modeling_glm.hub.card import count_parameters
from modeling_glm.inspection.sizing import training_flops, training_memory

LOAD = TrainingLoad(config=GLMConfig.from_preset("glm-large"), rows=16, row_length=561, labelled=101)


def cost(strategy: str = DDP, gpus: int = 64, load: TrainingLoad = LOAD, **settings):
    return step_cost(load, DGX1, gpus, strategy, **{"utilization": 0.3, **settings})


@pytest.mark.parametrize("preset", PRESETS)
def test_parameters_are_those_of_the_model(preset):
    load = replace(LOAD, config=GLMConfig.from_preset(preset))
    assert load.parameters == count_parameters(load.config)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_one_gpu_only_computes(strategy):
    found = cost(strategy, gpus=1)
    flops = training_flops(LOAD.config, tokens=16 * 561, labelled_tokens=16 * 101, row_length=561)
    assert found.communication == found.exposed == 0
    assert found.seconds == pytest.approx(flops / (0.3 * DGX1.peak))


def test_recomputing_adds_a_forward_pass_of_the_layers():
    more = cost(load=replace(LOAD, recompute=True)).compute - cost().compute
    assert more == pytest.approx(LOAD.flops(head=False) / 3 / (0.3 * DGX1.peak))


def test_bytes_of_all_communication():
    """64 GPUs of eight DGX-1: 2 * 63/64 times the gradients at 50 GB/s, and little latency."""
    assert cost(ZERO1).communication == pytest.approx(
        (2 * 63 / 64 * 4 + 63 / 64 * 2) * LOAD.parameters / 50e9, rel=0.2
    )
    sharded = 63 / 64 * (4 + 2 + 2) * LOAD.parameters - 63 / 64 * 2 * LOAD.outer
    assert cost(FSDP).communication == pytest.approx(sharded / 50e9, rel=0.2)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_exposed_communication_is_between_none_and_all(strategy):
    for utilization in (1e-3, 0.3, 1.0):
        for overlap in (0.0, 0.5, 1.0):
            found = cost(strategy, utilization=utilization, overlap=overlap)
            assert 0 < found.exposed <= found.communication * (1 + 1e-12)
    assert cost(strategy, overlap=0.0).exposed == pytest.approx(cost(strategy).communication)
    by_overlap = [cost(strategy, overlap=overlap).exposed for overlap in (0.0, 0.3, 0.6, 1.0)]
    assert by_overlap == sorted(by_overlap, reverse=True)


def test_embeddings_are_exposed_however_slowly_gpus_compute():
    last = DGX1.fabric.seconds("all_reduce", 4 * LOAD.outer, 64)
    # A slow GPU hides all layers but the last one, which is complete together with the embeddings.
    layer = DGX1.fabric.seconds("all_reduce", 4 * LOAD.block, 64)
    assert cost(utilization=1e-4).exposed == pytest.approx(last + layer)


def test_a_slow_network_exposes_almost_everything():
    slow = replace(DGX1, fabric=replace(DGX1.fabric, network_bandwidth=1e6))
    for strategy in STRATEGIES:
        found = step_cost(LOAD, slow, 64, strategy, utilization=0.3)
        assert found.exposed > 0.99 * found.communication


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_steps_grow_with_gpus(strategy):
    seconds = [cost(strategy, gpus).seconds for gpus in (1, 2, 8, 16, 64, 1024)]
    assert seconds == sorted(seconds)
    assert seconds[-1] > seconds[0]


def test_accumulation_saves_communication():
    four = cost(load=replace(LOAD, accumulation=4))
    assert four.compute == pytest.approx(4 * cost().compute)
    assert four.communication == cost().communication
    # FSDP gathers the weights again for each pass.
    assert cost(FSDP, load=replace(LOAD, accumulation=4)).communication > 1.5 * cost(FSDP).communication


def test_exposed_after_by_hand():
    buckets = [(1.0, 2.0), (1.5, 1.0), (6.0, 3.0)]
    # Sent from 1 to 3, from 3 to 4, and from 6 to 9.
    assert exposed_after(buckets, 6.0, lambda size: size) == 3.0
    assert exposed_after(buckets, 10.0, lambda size: size) == 0.0
    assert exposed_after([], 1.0, lambda size: size) == 0.0


def test_memory_shrinks_from_strategy_to_strategy():
    totals = [strategy_memory(LOAD, 64, strategy).total for strategy in (DDP, ZERO1, ZERO2, FSDP)]
    assert totals == sorted(totals, reverse=True)
    sizes = {"batch_tokens": 16 * 561, "row_length": 561, "labelled_tokens": 16 * 101}
    whole = training_memory(LOAD.config, **sizes)
    assert strategy_memory(LOAD, 64, DDP) == whole
    assert strategy_memory(LOAD, 64, ZERO1).optimizer == -(-whole.optimizer // 64)
    assert strategy_memory(LOAD, 64, FSDP) == training_memory(LOAD.config, shards=64, **sizes)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_memory_of_one_gpu_is_the_same(strategy):
    one = strategy_memory(LOAD, 1, strategy)
    assert one == strategy_memory(LOAD, 1, DDP)
    assert one.total < DGX_A100.memory


def test_unknown_strategy_is_refused():
    with pytest.raises(ValueError, match=r"strategy='ring': expected one of DDP, ZeRO 1, ZeRO 2, FSDP 2\."):
        cost("ring")

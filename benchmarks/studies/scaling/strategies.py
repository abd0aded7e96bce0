"""
The ways to train one model in several processes, as torch has them.

DDP keeps a copy of everything in each process and averages gradients. ZeRO 1 shards the state of the optimizer, ZeRO 2
gradients as well, and FSDP the weights, too (Rajbhandari et al. 2020, section 5).
"""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.distributed as dist
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.nn.parallel import DistributedDataParallel

from modeling_glm import GLMForConditionalGeneration
from modeling_glm.inspection.sizing import FP32_BYTES

from ...harness.shapes import Shape, build_glm
from .collectives import ALL_GATHER, ALL_REDUCE, BROADCAST, PASSES, REDUCE_SCATTER, sent_bytes

DDP, ZERO1, ZERO2, FSDP = "DDP", "ZeRO 1", "ZeRO 2", "FSDP 2"
STRATEGIES = (DDP, ZERO1, ZERO2, FSDP)


@dataclass(kw_only=True)
class ShardedTraining:
    """
    A model that several processes train, and its optimizer.

    Attributes:
        module: Call it with a batch.
        optimizer: AdamW.
        local: Makes a context in which backward passes send no gradients. None where there is no such context.
        buckets: For each bucket of gradients since it was cleared: its bytes, and the time when they were complete.
    """

    module: torch.nn.Module
    optimizer: torch.optim.Optimizer
    local: Callable[[], contextlib.AbstractContextManager] | None = None
    buckets: list[tuple[int, float]] = field(default_factory=list)


def build_training(strategy: str, shape: Shape) -> ShardedTraining:
    """
    Build a GLM for a strategy in each process of the default group. Weights and optimizer are the same for each strategy.

    The model has no dropout, so that losses do not depend on how rows are divided.
    """
    no_dropout = {"embedding_dropout": 0.0, "attention_dropout": 0.0, "hidden_dropout": 0.0}
    model = build_glm(GLMForConditionalGeneration, shape, **no_dropout).train()
    settings = {"lr": 1e-4, "fused": True}
    if strategy in (ZERO2, FSDP):
        mesh = init_device_mesh("cpu", (dist.get_world_size(),))
        for block in model.glm.transformer.layers:
            fully_shard(block, mesh=mesh, reshard_after_forward=strategy == FSDP)
        fully_shard(model, mesh=mesh, reshard_after_forward=False)
        return ShardedTraining(module=model, optimizer=torch.optim.AdamW(model.parameters(), **settings))
    if strategy not in (DDP, ZERO1):
        raise ValueError(f"strategy={strategy!r}: expected one of {', '.join(STRATEGIES)}.")
    wrapped = DistributedDataParallel(model, gradient_as_bucket_view=True)
    optimizer = (
        ZeroRedundancyOptimizer(model.parameters(), torch.optim.AdamW, **settings)
        if strategy == ZERO1
        else torch.optim.AdamW(model.parameters(), **settings)
    )
    training = ShardedTraining(module=wrapped, optimizer=optimizer, local=wrapped.no_sync)
    wrapped.register_comm_hook(training.buckets, log_and_reduce)
    return training


def log_and_reduce(buckets: list[tuple[int, float]], bucket: dist.GradBucket) -> torch.futures.Future[torch.Tensor]:
    """Write down size and time of a bucket, and average it over all processes."""
    buckets.append((bucket.buffer().nbytes, time.perf_counter()))
    return allreduce_hook(dist.group.WORLD, bucket)


def collectives_of(strategy: str, parameters: int, outer: int) -> dict[str, float]:
    """
    Return the bytes that each kind of collective handles in a step in fp32.

    Args:
        strategy: One of STRATEGIES.
        parameters: Parameters of the model.
        outer: Those of them outside the layers. FSDP keeps these gathered between forward and backward pass.
    """
    size = FP32_BYTES * parameters
    if strategy == DDP:
        return {ALL_REDUCE: size}
    if strategy == ZERO1:  # each process sends the parameters that it has updated
        return {ALL_REDUCE: size, BROADCAST: size}
    gathered = size if strategy == ZERO2 else 2 * size - FP32_BYTES * outer
    return {ALL_GATHER: gathered, REDUCE_SCATTER: size}


def expected_bytes(
    strategy: str, parameters: int, outer: int, processes: int, passes: dict[str, int] = PASSES
) -> float:
    """Return the bytes that a process sends in a step in fp32, on average over all processes."""
    kinds = collectives_of(strategy, parameters, outer)
    return sum(sent_bytes(kind, size, processes, passes) for kind, size in kinds.items())

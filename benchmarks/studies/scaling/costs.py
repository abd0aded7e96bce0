"""
Predict time and memory of a training step on a cluster.

A step takes as long as its matmuls at a share of the peak, and the part of the communication that nothing hides. What can be
hidden follows from the order of the work: gradients of a layer can be sent while the layers below it compute theirs. Those of
the embeddings come last, because the tied matrix gets gradients from both ends of the model.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from modeling_glm import GLMConfig
from modeling_glm.inspection.sizing import TrainingMemory, training_flops, training_memory

from .collectives import ALL_GATHER, ALL_REDUCE, REDUCE_SCATTER
from .hardware import GpuCluster
from .strategies import FSDP, STRATEGIES, ZERO1, ZERO2


@dataclass(frozen=True, kw_only=True)
class TrainingLoad:
    """
    What each GPU computes in a step.

    Attributes:
        config: The model.
        rows, row_length: Rows of a forward pass, and positions of a row.
        labelled: Positions of a row that are projected to the vocabulary.
        accumulation: Forward and backward passes of a step.
        recompute: Whether gradient checkpointing repeats the forward pass of the layers.
        gradient_bytes: Bytes of a gradient that is sent.
        weight_bytes: Bytes of a weight that is sent.
    """

    config: GLMConfig
    rows: int
    row_length: int
    labelled: int
    accumulation: int = 1
    recompute: bool = False
    gradient_bytes: int = 4
    weight_bytes: int = 2

    @property
    def parameters(self) -> int:
        return self.config.num_hidden_layers * self.block + self.outer

    @property
    def outer(self) -> int:
        """Parameters outside the layers: embeddings and the last layer norm."""
        tables = 1 + int(self.config.block_position_embeddings)
        rows = self.config.vocab_size + tables * self.config.max_context_length
        return (rows + 2) * self.config.hidden_size

    @property
    def block(self) -> int:
        """Parameters of a layer: four matrices with biases, and two layer norms."""
        hidden, inner = self.config.hidden_size, self.config.intermediate_size
        assert inner is not None  # the config sets a default
        return 4 * hidden**2 + 2 * hidden * inner + 9 * hidden + inner

    def flops(self, *, layers: bool = True, head: bool = True) -> float:
        """Count the operations of the matmuls in one forward and backward pass, of the layers and of the projection."""
        sizes = {"tokens": self.rows * self.row_length, "row_length": self.row_length}
        of_layers = training_flops(self.config, labelled_tokens=0, **sizes)
        both = training_flops(self.config, labelled_tokens=self.rows * self.labelled, **sizes)
        return layers * of_layers + head * (both - of_layers)


@dataclass(frozen=True, kw_only=True)
class StepCost:
    """
    Seconds of a step on each GPU.

    Attributes:
        compute: Forward and backward passes.
        communication: All collectives, one after the other.
        exposed: The part of the communication for which computing waits.
    """

    compute: float
    communication: float
    exposed: float

    @property
    def seconds(self) -> float:
        return self.compute + self.exposed


def exposed_after(buckets: Sequence[tuple[float, float]], end: float, seconds: Callable[[float], float]) -> float:
    """
    Return how long communication lasts after computing has ended, if it never slows computing down.

    Args:
        buckets: When the gradients of each bucket are complete, and their bytes. They are sent one after the other.
        end: When computing ends.
        seconds: How long it takes to reduce a number of bytes.
    """
    clock = 0.0
    for ready, size in buckets:
        clock = max(clock, ready) + seconds(size)
    return max(0.0, clock - end)


def step_cost(
    load: TrainingLoad, cluster: GpuCluster, gpus: int, strategy: str, *, utilization: float, overlap: float = 1.0
) -> StepCost:
    """
    Predict the time of a step.

    Args:
        load: What each GPU computes.
        cluster: The GPUs.
        gpus: Their number.
        strategy: One of STRATEGIES.
        utilization: The share of the peak that one GPU reaches without communication.
        overlap: The share of the communication that is hidden, of what the order of the work allows: 0 to 1.
    """
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy={strategy!r}: expected one of {', '.join(STRATEGIES)}.")
    speed = utilization * cluster.peak
    depth = load.config.num_hidden_layers
    layer = load.flops(head=False) / 3 / depth / speed  # forward pass of a layer
    head = load.flops(layers=False) / 3 / speed
    layer_back = (3 if load.recompute else 2) * layer
    compute = load.accumulation * (depth * (layer + layer_back) + 3 * head)

    def moving(kind: str, parameters: float, width: int) -> float:
        return cluster.fabric.seconds(kind, parameters * width, gpus)

    if strategy in (ZERO2, FSDP):
        gather = moving(ALL_GATHER, load.block, load.weight_bytes)
        gather_outer = moving(ALL_GATHER, load.outer, load.weight_bytes)
        scatter = moving(REDUCE_SCATTER, load.block, load.gradient_bytes)
        scatter_outer = moving(REDUCE_SCATTER, load.outer, load.gradient_bytes)
        again = gather if strategy == FSDP else 0.0
        rounds = load.accumulation if strategy == FSDP else 1  # ZeRO 2 keeps gathered weights until the update
        communication = rounds * (depth * (gather + again) + gather_outer) + depth * scatter + scatter_outer
        # The weights of a layer arrive while the layer before it computes; its gradients leave while the next one does.
        waiting = gather_outer + gather + (depth - 1) * max(0.0, gather - layer)
        waiting_back = depth * max(0.0, again - layer_back)
        last = depth * (max(0.0, again + scatter - layer_back) - max(0.0, again - layer_back))
        exposed = rounds * (waiting + waiting_back) + last + scatter_outer + scatter
    else:
        ends = [2 * head + (number + 1) * layer_back for number in range(depth)]
        buckets = [(end, load.gradient_bytes * load.block) for end in ends]
        buckets.append((ends[-1], load.gradient_bytes * load.outer))

        def reduce_seconds(size: float) -> float:
            return cluster.fabric.seconds(ALL_REDUCE, size, gpus)

        communication = sum(reduce_seconds(size) for _, size in buckets)
        exposed = exposed_after(buckets, ends[-1], reduce_seconds)
        if strategy == ZERO1:  # the updated weights, after everything else
            weights = moving(ALL_GATHER, load.parameters, load.weight_bytes)
            communication += weights
            exposed += weights
    exposed = min(exposed, communication)
    return StepCost(
        compute=compute, communication=communication, exposed=communication - overlap * (communication - exposed)
    )


def strategy_memory(load: TrainingLoad, gpus: int, strategy: str) -> TrainingMemory:
    """
    Predict the memory of a GPU, as `training_memory` does, for each strategy.

    ZeRO 1 divides the optimizer's state by the number of GPUs, ZeRO 2 gradients and the fp32 weights, too, and keeps one
    gathered copy of the weights. FSDP gathers two layers at a time.
    """
    sizes = {
        "batch_tokens": load.rows * load.row_length,
        "row_length": load.row_length,
        "labelled_tokens": load.rows * load.labelled,
        "gradient_checkpointing": load.recompute,
    }
    if strategy == FSDP:
        return training_memory(load.config, shards=gpus, **sizes)
    whole = training_memory(load.config, **sizes)
    if strategy == ZERO1:
        return replace(whole, optimizer=-(-whole.optimizer // gpus))
    if strategy == ZERO2:
        sharded = {name: -(-getattr(whole, name) // gpus) for name in ("weights", "gradients", "optimizer")}
        copies = load.weight_bytes * load.parameters + 4 * load.block  # the gradient of a layer before it is sent
        return replace(whole, copies=copies if gpus > 1 else whole.copies, **sharded)
    return whole

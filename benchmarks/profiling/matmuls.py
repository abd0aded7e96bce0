"""Count the operations and the bytes of matmuls, and how long they must take at least on a machine."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

aten = torch.ops.aten


def _flops_of_onednn(rows: torch.Tensor, weight: torch.Tensor, *others: Any, out_val: torch.Tensor) -> int:
    return 2 * rows.numel() * weight.shape[0]


# The counter of torch knows the fused attention of GPUs. That of CPUs takes the same arguments.
FORMULAS: dict[Any, Callable[..., int]] = {
    **flop_registry,
    aten._scaled_dot_product_flash_attention_for_cpu: flop_registry[aten._scaled_dot_product_flash_attention],
}
if hasattr(torch.ops.mkldnn, "_linear_pointwise"):  # `modeling_glm.cpu_functions.few_rows` calls it
    FORMULAS[torch.ops.mkldnn._linear_pointwise] = _flops_of_onednn


@dataclass(frozen=True)
class Matmul:
    """One matmul or fused attention: its floating point operations, and the bytes of its operands and its result."""

    flops: float
    bytes: float


@dataclass(frozen=True, kw_only=True)
class LeastTime:
    """
    How long matmuls must take at least.

    Attributes:
        flops: Floating point operations of all matmuls.
        bytes: Bytes of all operands and results. Each counts in every matmul that has it.
        compute_seconds: Time of the operations at the matmul peak.
        memory_seconds: Time of the bytes at the memory bandwidth.
        seconds: Sum over the matmuls of the longer of both times.
    """

    flops: float
    bytes: float
    compute_seconds: float
    memory_seconds: float
    seconds: float


class MatmulCounter(TorchDispatchMode):
    """
    Collect the matmuls that run while this mode is active.

    Attributes:
        found: The matmuls in their order.
    """

    def __init__(self):
        super().__init__()
        self.found: list[Matmul] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        formula = FORMULAS.get(func.overloadpacket)
        if formula is None:
            with self:  # in inference mode, a linear layer arrives here before it becomes a matmul
                result = func.decompose(*args, **kwargs)
            return func(*args, **kwargs) if result is NotImplemented else result
        result = func(*args, **kwargs)
        outputs = result if isinstance(result, tuple) else (result,)
        operands = [value for value in (*args, *kwargs.values(), *outputs) if isinstance(value, torch.Tensor)]
        flops = formula(*args, **kwargs, out_val=result)
        self.found.append(Matmul(float(flops), float(sum(map(bytes_of, operands)))))
        return result


def bytes_of(tensor: torch.Tensor) -> int:
    """Count the bytes of the elements of a tensor. An element that an expanded tensor repeats counts once."""
    sizes = (size for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride or not size)
    return math.prod(sizes) * tensor.element_size()


def count_matmuls(run: Callable[[], object]) -> list[Matmul]:
    """Run something and return its matmuls."""
    with MatmulCounter() as counter:
        run()
    return counter.found


def least_time(matmuls: list[Matmul], peak: float, bandwidth: float) -> LeastTime:
    """
    Compute how long matmuls must take at least, if each reads its operands from memory and writes its result there.

    Args:
        matmuls: The matmuls.
        peak: Floating point operations per second.
        bandwidth: Bytes per second.
    """
    flops, size = (sum(getattr(matmul, name) for matmul in matmuls) for name in ("flops", "bytes"))
    return LeastTime(
        flops=flops,
        bytes=size,
        compute_seconds=flops / peak,
        memory_seconds=size / bandwidth,
        seconds=sum(max(matmul.flops / peak, matmul.bytes / bandwidth) for matmul in matmuls),
    )

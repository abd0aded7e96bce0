"""Linear layers for few rows on CPUs: decoding, and short texts."""

from functools import cache

import torch
from torch import nn

from ..mlp_glm import project
from ..precision.cpu import cpu_vendor
from .plain import is_plain

# Beyond so many rows both libraries are equally fast.
MOST_ROWS = 256
# On CPUs of these vendors MKL computes few rows on one core.
ON_ONE_CORE = ("AuthenticAMD",)


@cache
def has_faster_kernel() -> bool:
    """
    Return whether oneDNN shares few rows among the cores of this CPU, and MKL, which torch calls for fp32, does not.

    The vendor decides, and no timing, so a machine computes the same every time. `benchmarks.studies.few_rows` times both.
    """
    has_kernel = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    return has_kernel and torch.backends.mkl.is_available() and cpu_vendor() in ON_ONE_CORE


def multiply_by_onednn(rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """
    Compute `nn.functional.linear(rows, weight, bias)` by oneDNN.

    Args:
        rows: (rows, in_features) float32.
        weight: (out_features, in_features) float32, also in the layout that oneDNN packs it into.
        bias: (out_features,) float32.
    """
    return torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], "")


# Compilers refuse the kernel on weights that are no constants, so they call it as one operation.
torch.library.define("modeling_glm::multiply_few_rows", "(Tensor rows, Tensor weight, Tensor? bias) -> Tensor")


@torch.library.impl("modeling_glm::multiply_few_rows", "cpu")
def _multiply_compiled(rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    return multiply_by_onednn(rows, weight, bias)


@torch.library.register_fake("modeling_glm::multiply_few_rows")
def _multiply_without_data(rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    return rows.new_empty(rows.shape[0], weight.shape[0])


def project_few_rows(layer: nn.Linear, states: torch.Tensor) -> torch.Tensor:
    """
    Compute `layer(states)`: by oneDNN where that is faster, in inference in fp32 with few rows.

    Args:
        layer: The layer.
        states: (..., in_features).

    Returns:
        (..., out_features).
    """
    if not suits_few_rows(layer, states):
        return project(layer, states)
    multiply = torch.ops.modeling_glm.multiply_few_rows if torch.compiler.is_compiling() else multiply_by_onednn
    outputs = multiply(states.reshape(-1, states.shape[-1]), layer.weight, layer.bias)
    return outputs.view(*states.shape[:-1], -1)


def suits_few_rows(layer: nn.Linear, states: torch.Tensor) -> bool:
    """
    Return whether this is inference in fp32 on a CPU with few rows, and calling `layer` would only multiply and add.

    Exported programs run elsewhere, so nothing suits them.
    """
    return (
        not torch.is_grad_enabled()
        and not torch.compiler.is_exporting()
        and type(states) is torch.Tensor
        and states.device.type == "cpu"
        and states.dtype == torch.float32
        and prefers_onednn()
        and 0 < states.numel() <= MOST_ROWS * states.shape[-1]
        and is_plain(layer, states)
    )


@torch.compiler.assume_constant_result
def prefers_onednn() -> bool:
    """Return whether there are several cores to share, and oneDNN does."""
    return torch.get_num_threads() > 1 and has_faster_kernel()


__all__ = ["has_faster_kernel", "multiply_by_onednn", "prefers_onednn", "project_few_rows", "suits_few_rows"]

"""
Compare the linear layers of Base in fp32, bf16 and int8, by the rows of a batch: CPU time, and what rounding changes.

    OMP_NUM_THREADS=1 python -m benchmarks.studies.int8_layers
    OMP_NUM_THREADS=2 python -m benchmarks.studies.int8_layers --rows 1 16 --layers 12

Ours has a scale of the inputs for each token, torch's dynamic quantization one for the batch. The time is that of the processor,
so that other processes count less. It covers the layers and the projection to the vocabulary, with weights that do not fit
into the cache.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable, Sequence

import torch
from torch import nn

from modeling_glm.precision.int8_layer import Int8Linear

from ..harness.machine import describe_this_machine
from ..harness.report import make_table
from ..harness.shapes import BASE, Shape

Layers = list[tuple[Callable[[torch.Tensor], torch.Tensor], int]]
FP32, BF16, INT8, TORCH_INT8 = "fp32", "bf16", "int8, a scale for each token", "int8, a scale for the batch (torch)"


def make_linears(shape: Shape, layers: int) -> list[nn.Linear]:
    """Make the linear layers of some blocks, and the projection to the vocabulary."""
    width = shape.hidden
    sizes = [(width, 3 * width), (width, width), (width, 4 * width), (4 * width, width)] * layers
    linears = []
    for inputs, outputs in [*sizes, (width, shape.vocabulary)]:
        linear = nn.utils.skip_init(nn.Linear, inputs, outputs).requires_grad_(False)
        linear.weight.normal_(std=0.02)
        linear.bias.normal_(std=0.02)
        linears.append(linear)
    return linears


def convert(name: str, linears: Sequence[nn.Linear]) -> Layers:
    """Make the layers of a form, each with its number of inputs."""
    if name == BF16:
        made: list[Callable] = [_as_bf16(linear) for linear in linears]
    elif name == INT8:
        made = [Int8Linear(linear) for linear in linears]
    elif name == TORCH_INT8:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch announces its end
            made = list(torch.ao.quantization.quantize_dynamic(nn.ModuleList(linears), {nn.Linear}, torch.qint8))
    else:
        made = list(linears)
    return [(layer, linear.in_features) for layer, linear in zip(made, linears, strict=True)]


def _as_bf16(linear: nn.Linear) -> Callable[[torch.Tensor], torch.Tensor]:
    weight, bias = linear.weight.bfloat16(), linear.bias.bfloat16()
    return lambda states: nn.functional.linear(states, weight, bias)


def rounding_error(linear: nn.Linear, name: str, states: torch.Tensor) -> float:
    """Measure the error of a form of a layer, as a share of its outputs."""
    ((layer, _),) = convert(name, [linear])
    found = layer(states.bfloat16() if name == BF16 else states).float()
    expected = linear(states)
    return float((found - expected).norm() / expected.norm())


def time_rows(forms: dict[str, Layers], rows: int, rounds: int) -> dict[str, float]:
    """Time all layers of each form in turns. Returns the median of the processor's seconds."""
    seconds: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(rounds):
        for name, layers in forms.items():
            dtype = torch.bfloat16 if name == BF16 else torch.float32
            inputs = {width: torch.randn(rows, width, dtype=dtype) for width in {width for _, width in layers}}
            start = time.process_time()
            for layer, width in layers:
                layer(inputs[width])
            seconds[name].append(time.process_time() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def main(arguments: Sequence[str] | None = None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--layers", type=int, default=3, help="number of blocks")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args(arguments)
    torch.manual_seed(0)
    linears = make_linears(BASE, args.layers)
    print(
        f"{args.layers} blocks of Base and the vocabulary, {torch.get_num_threads()} threads. {describe_this_machine()}\n"
    )
    with torch.inference_mode():
        forms = {name: convert(name, linears) for name in (FP32, BF16, INT8, TORCH_INT8)}
        states = torch.randn(16, BASE.hidden)
        errors = {name: rounding_error(linears[0], name, states) for name in forms}
        table = []
        for rows in args.rows:
            seconds = time_rows(forms, rows, args.rounds)
            for name in forms:
                times = f"{seconds[name] * 1e3:.1f}", f"{seconds[FP32] / seconds[name]:.2f}"
                table.append((str(rows), name, *times, f"{errors[name]:.2%}"))
    print(make_table(("rows", "form", "ms of the CPU", "times as fast", "error of 16 rows"), table))


if __name__ == "__main__":
    main()

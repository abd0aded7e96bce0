"""
Compare kernels for the linear layers of Base with few rows, in fp32: as in decoding, where a row is a text.

    python -m benchmarks.studies.few_rows                        # with all cores
    python -m benchmarks.studies.few_rows --rows 1 4 16 --decode

- linear: what torch calls for a linear layer, MKL where it has MKL.
- oneDNN: its kernel on the weights as they are, which `modeling_glm.cpu_functions.few_rows` calls on CPUs where it is faster.
- oneDNN, packed and MKL, packed: weights that are laid out for the kernel before, in memory of their own.

--decode also fills a blank of a context of 128 tokens with 64 tokens, by Base with random weights, with and without oneDNN.

The kernels take turns, and the best round counts. The limit is that of the machine, measured in the same run: each layer
takes at least the time to read its weights, and at least that of its operations at the matmul peak.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import nn
from transformers.utils.logging import set_verbosity_error

from modeling_glm import GLMForConditionalGeneration
from modeling_glm.cpu_functions.few_rows import multiply_by_onednn, project_few_rows
from modeling_glm.mlp_glm import EXCHANGEABLE_FUNCTIONS, project

from ..harness.decoder import GreedyDecoder
from ..harness.machine import describe_this_machine, measure_machine
from ..harness.measuring import take_turns
from ..harness.report import make_table
from ..harness.shapes import BASE, build_glm, make_contexts
from .int8_layers import make_linears

Multiply = Callable[[torch.Tensor], torch.Tensor]
LINEAR = "linear"


def _packed_onednn(linear: nn.Linear, rows: int) -> Multiply:
    weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), rows)
    return lambda states: multiply_by_onednn(states, weight, linear.bias)


def _packed_mkl(linear: nn.Linear, rows: int) -> Multiply:
    weight = torch.ops.mkl._mkl_reorder_linear_weight(linear.weight.detach(), rows)
    return lambda states: torch.ops.mkl._mkl_linear(states, weight, linear.weight, linear.bias, rows)


# How each kernel is made for a layer and a number of rows.
KERNELS: dict[str, Callable[[nn.Linear, int], Multiply]] = {
    LINEAR: lambda linear, rows: linear,
    "oneDNN": lambda linear, rows: lambda states: multiply_by_onednn(states, linear.weight, linear.bias),
    "oneDNN, packed": _packed_onednn,
    "MKL, packed": _packed_mkl,
}


class Limits(NamedTuple):
    """Limits of the machine: bytes per second, and operations per second."""

    bandwidth: float
    peak: float

    def least_seconds(self, linears: Sequence[nn.Linear], rows: int) -> float:
        """Return the least time that some layers can take."""
        counts = [linear.weight.numel() for linear in linears]
        return sum(max(4 * count / self.bandwidth, 2 * rows * count / self.peak) for count in counts)


def time_kernels(linears: Sequence[nn.Linear], rows: int, rounds: int) -> dict[str, float]:
    """
    Time all layers by each kernel, in turns.

    Returns:
        The seconds of the best round of each kernel.
    """
    inputs = {linear.in_features: torch.randn(rows, linear.in_features) for linear in linears}
    made = {name: [make(linear, rows) for linear in linears] for name, make in KERNELS.items()}
    seconds = dict.fromkeys(KERNELS, float("inf"))
    for _ in range(rounds):
        for name, layers in made.items():
            start = time.perf_counter()
            for layer, linear in zip(layers, linears, strict=True):
                layer(inputs[linear.in_features])
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    return seconds


def time_decoding(rows: int, rounds: int, length: int = 128, new_tokens: int = 64) -> dict[str, list[float]]:
    """
    Time decoding by the layers as torch calls them and by `project_few_rows`, in turns.

    Returns:
        The seconds of every round.
    """
    model = build_glm(GLMForConditionalGeneration, BASE)
    decoder = GreedyDecoder(model, make_contexts(model.config, rows, length), new_tokens)

    def decode(function: Callable) -> None:
        before = EXCHANGEABLE_FUNCTIONS["project"]
        EXCHANGEABLE_FUNCTIONS["project"] = function
        try:
            decoder()
        finally:
            EXCHANGEABLE_FUNCTIONS["project"] = before

    return take_turns({LINEAR: lambda: decode(project), "oneDNN": lambda: decode(project_few_rows)}, rounds)


def main(arguments: Sequence[str] | None = None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32, 64, 128, 256])
    parser.add_argument("--layers", type=int, default=6, help="number of blocks")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--decode", action="store_true", help="also time decoding, in half of the rounds")
    parser.add_argument("--quick", action="store_true", help="measure the limits of the machine roughly")
    args = parser.parse_args(arguments)
    set_verbosity_error()  # an id that ends no piece is meant
    torch.manual_seed(0)
    linears = make_linears(BASE, args.layers)
    print(f"{describe_this_machine()}\n{args.layers} blocks of Base and the vocabulary, fp32.")
    machine = measure_machine([BASE], "cpu", args.quick)
    limits = Limits(machine.bandwidth, machine.peak(BASE, torch.float32))
    print(f"Limits: {limits.bandwidth / 1e9:.1f} GB/s, {limits.peak / 1e9:.0f} GFLOP/s.\n")
    table = []
    with torch.no_grad():
        for rows in args.rows:
            seconds, least = time_kernels(linears, rows, args.rounds), limits.least_seconds(linears, rows)
            for name, taken in seconds.items():
                times = f"{taken * 1e3:.1f}", f"{seconds[LINEAR] / taken:.2f}", f"{least / taken:.0%}"
                table.append((str(rows), name, *times))
    print(make_table(("rows", "kernel", "ms", "times as fast", "share of the limit"), table))
    if args.decode:
        print()
        table = []
        for rows in args.rows:
            found = time_decoding(rows, (args.rounds + 1) // 2)
            ratios = [slow / fast for slow, fast in zip(*found.values(), strict=True)]
            seconds = (f"{statistics.median(times):.2f}" for times in found.values())
            table.append((str(rows), *seconds, f"{statistics.median(ratios):.2f}"))
        print(make_table(("texts", f"{LINEAR}, s", "oneDNN, s", "times as fast"), table))


if __name__ == "__main__":
    main()

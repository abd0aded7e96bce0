"""
Measure what `torch.compile` gives on CPUs, for a training step and for decoding, in fp32 with random weights.

    python -m benchmarks.studies.compiling                        # both, at Base
    python -m benchmarks.studies.compiling --works decoding --texts 1 4 16

Training, a step of 4 x 512 tokens with AdamW and dropout:

- blocks: every block is compiled.
- layers: the embeddings and all blocks are compiled as one graph. The loss of the labelled positions is not, because their
  number is different in every batch.

Decoding, 64 tokens for a blank in a context of 128:

- static cache: not compiled, for comparison.
- compiled: the forward pass.
- frozen: the forward pass, whose weights are constants that the compiler lays out for its kernels, in as much memory again.
- templates: frozen, and the compiler times its own C++ kernels for the matmuls beside those of the libraries.

All ways take turns. The first call of what is compiled is timed in processes of their own: with an empty cache of the
compiler, and in the next process, which finds what the first one has compiled.
"""

import argparse
import statistics
import tempfile
from collections.abc import Sequence

import torch
from transformers.utils.logging import set_verbosity_error

from ...harness.machine import describe_this_machine
from ...harness.measuring import run_alone, take_turns
from ...harness.report import make_table
from ...harness.shapes import BASE, SHAPES, Shape
from ...suites.decoding import require_same
from .ways import PLAIN, WORKS, time_first_call

COLUMNS = ("way", "first call, s", "with a cache, s", "later calls, s", "times as fast", "lowest to highest")


def time_first_calls(work: str, way: str, shape: Shape, sizes: Sequence[int]) -> tuple[float, float]:
    """Time the first call with an empty cache of the compiler, and that of the next process."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {"TORCHINDUCTOR_CACHE_DIR": cache, "TORCHINDUCTOR_FX_GRAPH_CACHE": "1"}
        calls = (
            run_alone(time_first_call, work, way, shape.name, *sizes, environment=environment)["seconds"]
            for _ in range(2)
        )
        return next(calls), next(calls)


def measure(work: str, shape: Shape, sizes: Sequence[int], rounds: int, first_calls: bool) -> list[tuple[str, ...]]:
    """
    Compare the ways of a work with what is not compiled.

    Returns:
        The rows of its table: the way, its first calls, the median, and how many times as fast it is.
    """
    make, ways, compiled = WORKS[work].make, WORKS[work].ways, WORKS[work].compiled
    first = {way: time_first_calls(work, way, shape, sizes) for way in ways if first_calls and way in compiled}
    runs = {way: make(way, shape, *sizes) for way in ways}
    if work == "decoding":
        plain, *others = (run() for run in runs.values())
        for ids in others:
            require_same(plain, ids)
    seconds = take_turns(runs, rounds)
    rows = []
    for way, times in seconds.items():
        ratios = [slow / fast for slow, fast in zip(seconds[PLAIN], times, strict=True)]
        shown = [f"{value:.1f}" for value in first.get(way, ())] or ["–", "–"]
        shown += [f"{statistics.median(times):.2f}", f"{statistics.median(ratios):.2f}"]
        rows.append((way, *shown, f"{min(ratios):.2f} to {max(ratios):.2f}"))
    return rows


def main(arguments: Sequence[str] | None = None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--works", nargs="+", choices=WORKS, default=list(WORKS))
    parser.add_argument("--shape", choices=SHAPES, default=BASE.name)
    parser.add_argument("--texts", type=int, nargs="+", default=[1, 4, 16], help="texts that are decoded at once")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no_first_calls", action="store_true", help="do not time first calls")
    parser.add_argument("--tokens", type=int, nargs=3, default=[512, 128, 64], metavar=("TRAINING", "CONTEXT", "NEW"))
    args = parser.parse_args(arguments)
    set_verbosity_error()  # an id that ends no piece is meant
    shape, (length, context, new) = SHAPES[args.shape], args.tokens
    sizes_of = {"training": [(4, length)], "decoding": [(texts, context, new) for texts in args.texts]}
    print(describe_this_machine())
    for work in args.works:
        for sizes in sizes_of[work]:
            rows = measure(work, shape, sizes, args.rounds, not args.no_first_calls)
            print(
                f"\n{shape.name}, {work}, {sizes[0]} x {sizes[1]} tokens:\n\n{make_table(COLUMNS, rows)}", flush=True
            )
            torch.compiler.reset()


if __name__ == "__main__":
    main()

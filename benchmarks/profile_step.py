"""
Where the time of a training step goes, against what its arithmetic takes at the speed of large products of matrices.

    OMP_NUM_THREADS=2 python -m benchmarks.profile_step
    OMP_NUM_THREADS=2 python -m benchmarks.profile_step --model "naive GLM" --vocabulary 50304

It prints the operators that take longest, the time in products of matrices and the least they could take, and the page
faults: memory that the system hands out anew, a page at a time.
"""

import argparse
import resource
import time

import torch
from torch.profiler import ProfilerActivity, profile

from .machine import measure_limits
from .shapes import BASE, SHAPES, Shape
from .training import count_flops, make_step

PRODUCTS = {"aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm"}


def profile_step(name: str, shape: Shape, rows: int, length: int) -> dict[str, float]:
    """Seconds that the threads' leader spends in every operator itself, of one step."""
    step, _ = make_step(name, shape, rows, length)
    step()
    step()
    before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    step()
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    print(
        f"{name}, {shape.name}, vocabulary {shape.vocabulary}, {rows} x {length} tokens: {seconds:.2f} s, "
        f"{after.ru_minflt - before.ru_minflt:,} page faults, "
        f"{after.ru_stime - before.ru_stime:.2f} s of the system's time in all threads"
    )
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        step()
    return {event.key: event.self_cpu_time_total / 1e6 for event in profiled.key_averages()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="GLM", help='"GLM", "naive GLM", or a peer')
    parser.add_argument("--shape", choices=SHAPES, default=BASE.name)
    parser.add_argument("--vocabulary", type=int, default=BASE.vocabulary)
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--top", type=int, default=15, help="how many operators to show")
    args = parser.parse_args()
    shape = SHAPES[args.shape].with_vocabulary(args.vocabulary)
    taken = profile_step(args.model, shape, args.rows, args.length)
    whole = sum(taken.values())
    for operator, seconds in sorted(taken.items(), key=lambda item: -item[1])[: args.top]:
        print(f"  {seconds:6.3f} s {seconds / whole:6.1%}  {operator}")
    products = sum(seconds for operator, seconds in taken.items() if operator in PRODUCTS)
    print(f"  {products:6.3f} s {products / whole:6.1%}  in products of matrices, {whole:.3f} s in all")
    if "GLM" in args.model:
        peak = measure_limits([shape], "cpu", 0.5)[f"{shape.name} float32"]
        least = count_flops(shape, args.rows, args.length) / peak
        print(f"  {least:6.3f} s {least / whole:6.1%}  what ours must compute, at {peak / 1e9:.0f} GFLOP/s")
    print(f"  with {torch.get_num_threads()} threads")


if __name__ == "__main__":
    main()

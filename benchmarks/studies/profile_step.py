"""
Profile a training step: where its time goes, and how long its matmuls would take at the peak.

    OMP_NUM_THREADS=2 python -m benchmarks.studies.profile_step
    OMP_NUM_THREADS=2 python -m benchmarks.studies.profile_step --model "naive GLM" --vocabulary 50304

It prints the operators that take longest, the time of all matmuls with the least time that they could take, and the page
faults: pages of memory that the kernel hands out during the step.
"""

import argparse
import resource
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.profiler import ProfilerActivity, profile

from ..harness.machine import describe_this_machine, matmul_peak
from ..harness.measuring import take_turns
from ..harness.peers import PEERS
from ..harness.shapes import BASE, SHAPES, Shape
from ..harness.steps import CHECKPOINTING, GLM, NAIVE, Step, make_step, step_flops

MATMULS = frozenset({"aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm"})


@dataclass(frozen=True, kw_only=True)
class StepProfile:
    """
    The profile of a step.

    Attributes:
        seconds: Of a step without the profiler.
        page_faults: Number of pages that the kernel handed out during that step.
        system_seconds: Time of the kernel during that step, over all threads.
        operators: Seconds of the main thread in each operator, in a step with the profiler.
    """

    seconds: float
    page_faults: int
    system_seconds: float
    operators: dict[str, float]

    @property
    def total(self) -> float:
        return sum(self.operators.values())

    @property
    def matmuls(self) -> float:
        return sum(seconds for name, seconds in self.operators.items() if name in MATMULS)


def profile_step(step: Step) -> StepProfile:
    """Profile a step, after two steps to warm up."""
    step()
    step()
    before = resource.getrusage(resource.RUSAGE_SELF)
    (seconds,) = take_turns({"step": step}, rounds=1, warm_up=False)["step"]
    after = resource.getrusage(resource.RUSAGE_SELF)
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        step()
    return StepProfile(
        seconds=seconds,
        page_faults=after.ru_minflt - before.ru_minflt,
        system_seconds=after.ru_stime - before.ru_stime,
        operators={event.key: event.self_cpu_time_total / 1e6 for event in profiled.key_averages()},
    )


def show_profile(found: StepProfile, top: int) -> str:
    """Show the operators that take longest and the time of all matmuls."""
    longest = sorted(found.operators.items(), key=lambda item: -item[1])[:top]
    rows = [*longest, ("all matmuls", found.matmuls), ("all operators", found.total)]
    return "\n".join(
        [
            f"{found.seconds:.2f} s, {found.page_faults:,} page faults, {found.system_seconds:.2f} s in the kernel",
            *(f"  {seconds:6.3f} s {seconds / found.total:6.1%}  {name}" for name, seconds in rows),
        ]
    )


def show_least(shape: Shape, rows: int, length: int) -> str:
    """Show how long the matmuls of a GLM step would take at the matmul peak."""
    peak = matmul_peak(shape, 2048, torch.float32, "cpu", 0.5)
    return f"  {step_flops(shape, rows, length) / peak:6.3f} s for the matmuls of GLM at the peak of {peak / 1e9:.0f} GFLOP/s"


def main(arguments: Sequence[str] | None = None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    models = (GLM, CHECKPOINTING, NAIVE, *PEERS)
    parser.add_argument("--model", choices=models, default=GLM)
    parser.add_argument("--shape", choices=SHAPES, default=BASE.name)
    parser.add_argument("--vocabulary", type=int, help="size of the vocabulary instead of the shape's")
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--top", type=int, default=15, help="number of operators to show")
    args = parser.parse_args(arguments)
    shape = SHAPES[args.shape]
    shape = shape.with_vocabulary(args.vocabulary or shape.vocabulary)
    print(
        f"{args.model}, {shape.name}, vocabulary {shape.vocabulary}, {args.rows} x {args.length} tokens, "
        f"{torch.get_num_threads()} threads. {describe_this_machine()}"
    )
    print(show_profile(profile_step(make_step(args.model, shape, args.rows, args.length)), args.top))
    print(show_least(shape, args.rows, args.length))


if __name__ == "__main__":
    main()

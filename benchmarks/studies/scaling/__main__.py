"""
Measure data-parallel training in several gloo processes on this machine, and predict training on clusters.

    OMP_NUM_THREADS=1 python -m benchmarks.studies.scaling
    OMP_NUM_THREADS=1 python -m benchmarks.studies.scaling --output docs/results/scaling.json --write docs/results/scaling.md
    python -m benchmarks.studies.scaling --tables --output docs/results/scaling.json

It trains one model on the same rows with 1, 2 and 4 processes as DDP, ZeRO 1, ZeRO 2 and FSDP 2. It counts the bytes on the wire,
and times steps, steps without communication, and communication alone. Latency, bandwidth and overlap of two processes predict
four. The overlap and the formulas for bytes then predict clusters, with published figures of GPUs, and published training
times check these predictions.

Numbers of processes that are in the output file are not measured again. On two idle cores all of it takes a few minutes.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from modeling_glm.utils.files import write_whole

from ...harness.machine import describe_this_machine
from ...harness.report import replace_blocks
from ...harness.shapes import BASE, SHAPES
from .report import all_tables
from .workers import ProcessPlan, measure_processes


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default=BASE.name)
    parser.add_argument(
        "--processes", nargs="+", type=int, default=[1, 2, 4], help="1 and 2 are needed for the tables"
    )
    parser.add_argument("--rows", type=int, default=4, help="rows of a step, of all processes together")
    parser.add_argument("--length", type=int, default=64, help="positions of a row")
    parser.add_argument("--rounds", type=int, default=3, help="number of steps that are timed")
    parser.add_argument("--threads", type=int, default=1, help="threads of each process")
    parser.add_argument("--output", type=Path, default=Path("runs/scaling/scaling.json"), help="file of the results")
    parser.add_argument("--tables", action="store_true", help="print the tables of the file, and stop")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="also write the tables into the blocks of a page")
    args = parser.parse_args(arguments)
    if min(args.processes) < 1 or any(args.rows % count for count in args.processes):
        parser.error(f"--rows {args.rows} must be a multiple of each of --processes")
    return args


def main(arguments: Sequence[str] | None = None):
    """Measure what is missing, and print the tables."""
    args = parse_arguments(arguments)
    measured = read_measured(args)
    if not args.tables:
        for count in args.processes:
            if str(count) not in measured["runs"]:
                print(f"{count} processes ...", file=sys.stderr, flush=True)
                measured["runs"][str(count)] = measure_processes(make_plan(args, count))
                args.output.parent.mkdir(parents=True, exist_ok=True)
                write_whole(args.output, json.dumps(measured, indent=1) + "\n")
    tables = all_tables(measured)
    for name, text in tables.items():
        print(f"{name}:\n\n{text}\n")
    if args.write:
        replace_blocks(args.write, tables)


def make_plan(args: argparse.Namespace, count: int) -> ProcessPlan:
    """Make the plan for a number of processes. One process needs only its losses."""
    return ProcessPlan(
        shape=SHAPES[args.shape],
        processes=count,
        rows=args.rows,
        length=args.length,
        rounds=args.rounds,
        threads=args.threads,
        **({"strategies": ("DDP",), "messages": ()} if count == 1 else {}),
    )


def read_measured(args: argparse.Namespace) -> dict[str, Any]:
    """
    Read the output file, or begin a new one.

    Raises:
        SystemExit: If the file is of other work.
    """
    plan = {name: getattr(args, name) for name in ("shape", "rows", "length", "rounds", "threads")}
    cores = os.cpu_count() or 1
    torch.set_num_threads(args.threads)
    machine = describe_this_machine()
    if not args.output.exists():
        return {"machine": machine, "cores": cores, "plan": plan, "runs": {}}
    measured = json.loads(args.output.read_text(encoding="utf-8"))
    if not args.tables and (measured["plan"], measured["machine"]) != (plan, machine):
        raise SystemExit(f"{args.output} has {measured['plan']} on {measured['machine']}. Choose another --output.")
    return measured


if __name__ == "__main__":
    main()

"""
All benchmarks in one run.

    python -m benchmarks run                      # on the CPU, with as many threads as there are cores
    python -m benchmarks run --quick              # tiny models: does it work?
    python -m benchmarks run --only training decoding
    python -m benchmarks run --suite gpu

It measures the limits of the machine, then the work against peers that take turns with it, prints a table, and writes
JSON, a picture and the tables of docs/results/performance.md. Suites that were not run keep their lines there.
"""

import argparse
import importlib
import os
import time
import warnings
from pathlib import Path

import torch
from transformers.utils import logging

from . import report
from .machine import measure_limits
from .measuring import ROOT, Line
from .settings import Settings
from .shapes import BASE, GLM_2B, GLM_10B, LARGE, TINY

SUITES = {
    "cpu": ("training", "scoring", "decoding", "quantization", "filling", "starting", "data", "growth"),
    "gpu": ("training", "scoring", "decoding"),
}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="measure, and write the results")
    run.add_argument("--suite", choices=SUITES, default="cpu", help="which machine: the CPU, or the GPU in bf16")
    run.add_argument("--only", nargs="+", metavar="NAME", help=f"some of {', '.join(SUITES['cpu'])}")
    run.add_argument(
        "--quick", action="store_true", help="tiny models and few rounds; writes to runs/benchmarks alone"
    )
    run.add_argument("--rounds", type=int, default=5, help="how often what is compared takes turns")
    run.add_argument("--threads", type=int, default=os.cpu_count(), help="of torch on the CPU")
    run.add_argument("--output", type=Path, help="folder for JSON and picture; docs/results if not given")
    args = parser.parse_args(arguments)
    if unknown := set(args.only or ()) - set(SUITES[args.suite]):
        parser.error(f"--only {sorted(unknown)[0]}: expected some of {', '.join(SUITES[args.suite])}")
    if args.suite == "gpu" and not torch.cuda.is_available():
        parser.error("--suite gpu: torch finds no GPU here")
    if args.rounds < 1 or args.threads < 1:
        parser.error("--rounds and --threads must be at least 1")
    return args


def main(arguments: list[str] | None = None):
    args = parse(arguments)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=UserWarning)
    torch.set_num_threads(args.threads)
    device = "cuda" if args.suite == "gpu" else "cpu"
    settings = Settings(device=device, quick=args.quick, rounds=2 if args.quick else args.rounds)
    shapes = [TINY] if args.quick else [BASE, LARGE, GLM_2B, GLM_10B] if settings.on_gpu else [BASE, LARGE]
    settings.limits = measure_limits(shapes, device, 0.05 if args.quick else 0.5)
    print(report.describe(settings.limits), flush=True)

    folder = args.output or (ROOT / "runs" / "benchmarks" if args.quick else ROOT / "docs" / "results")
    saved = folder / f"performance_{args.suite}.json"
    lines: list[Line] = []
    for name in args.only or SUITES[args.suite]:
        start = time.perf_counter()
        found = importlib.import_module(f"benchmarks.{name}").run(settings)
        lines += found
        print(f"\n{name}, {time.perf_counter() - start:.0f} s\n{report.HEADER}", flush=True)
        print("\n".join(report.as_row(line) for line in found), flush=True)
        write(args, settings, saved, lines)


def write(args: argparse.Namespace, settings: Settings, saved: Path, lines: list[Line]):
    """After every suite, so that a run that is stopped leaves what it found."""
    ran = {line.suite for line in lines}
    kept = []
    if args.only and saved.exists():
        limits, before, _ = report.read_json(saved)
        if limits["device"] == settings.limits["device"] and limits["threads"] == settings.limits["threads"]:
            kept = [line for line in before if line.suite not in ran]
    order = SUITES[args.suite]
    everything = sorted([*kept, *lines], key=lambda line: order.index(line.suite))
    told = {"quick": args.quick, "rounds": settings.rounds, "suite": args.suite}
    report.write_json(saved, settings.limits, everything, told)
    report.draw(saved.with_suffix(".png"), everything)
    if not args.quick and args.output is None:
        tables = report.make_tables(settings.limits, everything)
        report.renew_page(ROOT / "docs" / "results" / "performance.md", args.suite, tables)


if __name__ == "__main__":
    main()

"""
Measure speed and memory of GLM against peers and against the limits of the machine.

    python -m benchmarks list                     # the suites and what they measure
    python -m benchmarks run                      # all suites on the CPU
    python -m benchmarks run --quick              # tiny models, to check that everything works
    python -m benchmarks run --only training decoding
    python -m benchmarks run --device cuda        # on the GPU
    python -m benchmarks run --machine laptop     # on another machine: a file and a column of its own
    python -m benchmarks page                     # write tables and picture of the page again from the JSON file
    python -m benchmarks profile training         # where the time of a training step goes
    python -m benchmarks profile --write          # and of decoding, filling and scoring; write docs/results/profile.md

A run on the CPU writes docs/results/performance_cpu.json, the tables and the picture of docs/results/performance.md, and
the figures of docs/guides/export.md. With --machine NAME it writes performance_cpu_NAME.json and a column of the page.
Suites that do not run keep their results, which must be from a machine like this one.
"""

import argparse
import os
import shlex
import sys
import time
import warnings
from collections.abc import Iterable
from pathlib import Path

import torch
from transformers.utils import logging

from .harness import report
from .harness.machine import measure_machine
from .harness.measuring import ROOT
from .harness.results import Results
from .harness.settings import RunSettings
from .harness.shapes import BASE, GLM_2B, GLM_10B, LARGE, MEDIUM, TINY
from .profiling import command as profiling
from .suites import GPU_SUITES, SUITES, describe_suite, load_suite


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="list the suites")
    commands.add_parser("page", help="write tables and picture of the page again from the JSON file")
    run = commands.add_parser("run", help="measure and write the results")
    run.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where the models run")
    run.add_argument("--only", nargs="+", metavar="SUITE", help=f"some of {', '.join(SUITES)}")
    run.add_argument("--quick", action="store_true", help="tiny models, few rounds, results in runs/benchmarks")
    run.add_argument("--rounds", type=int, default=5, help="number of rounds in which the runs take turns")
    run.add_argument("--threads", type=int, default=os.cpu_count(), help="CPU threads of torch")
    run.add_argument("--machine", metavar="NAME", help="name of another machine than that of the page's tables")
    run.add_argument("--output", type=Path, help="folder for the results instead of docs/results")
    profile = commands.add_parser("profile", help="show where the time goes")
    profiling.add_arguments(profile)
    args = parser.parse_args(arguments)
    if args.command == "run":
        check_run(run, args)
    elif args.command == "profile":
        profiling.check_arguments(profile, args)
    return args


def check_run(parser: argparse.ArgumentParser, args: argparse.Namespace):
    """Refuse arguments that do not fit, and fill in the suites."""
    known = GPU_SUITES if args.device == "cuda" else SUITES
    if unknown := [name for name in args.only or () if name not in known]:
        parser.error(f"--only {unknown[0]}: expected some of {', '.join(known)}")
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: torch finds no GPU")
    profiling.check_measuring(parser, args)
    args.suites = [name for name in known if args.only is None or name in args.only]


def main(arguments: list[str] | None = None):
    arguments = sys.argv[1:] if arguments is None else arguments
    args = parse_arguments(arguments)
    typed = shlex.join(["python", "-m", "benchmarks", *arguments])
    if args.command == "list":
        for name in SUITES:
            print(f"{name:13} {describe_suite(name)}")
    elif args.command == "page":
        write_page()
    elif args.command == "profile":
        profiling.run(args, typed)
    else:
        run(args, typed)


def run(args: argparse.Namespace, command: str):
    """Run the suites one after the other, and write the results after each."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=UserWarning)
    torch.set_num_threads(args.threads)
    larger = [] if args.device == "cpu" else [GLM_2B, GLM_10B]
    shapes = [TINY] if args.quick else [BASE, LARGE, MEDIUM, *larger]
    machine = measure_machine(shapes, args.device, args.quick)
    print(machine.describe(), flush=True)
    settings = RunSettings(
        machine=machine, device=args.device, quick=args.quick, rounds=2 if args.quick else args.rounds
    )
    folder = args.output or (ROOT / "runs" / "benchmarks" if args.quick else report.PAGE.parent)
    name = f"performance_{args.device}" + (f"_{args.machine}" if args.machine else "")
    path = folder / f"{name}.json"
    kept = find_kept(path, settings) if args.only else None
    suites = kept.suites if kept else {}
    if kept:  # the page names every command that gave some of its figures
        command = " && ".join(dict.fromkeys((*kept.command.split(" && "), command)))
    for name in args.suites:
        start = time.perf_counter()
        suites[name] = load_suite(name).run(settings)
        print(f"\n{name}, {time.perf_counter() - start:.0f} s\n\n{report.suite_tables(suites[name])}", flush=True)
        ordered = {suite: suites[suite] for suite in SUITES if suite in suites}
        results = Results(command=command, machine=machine, suites=ordered)
        results.write(path)
        if folder == report.PAGE.parent and args.device == "cpu":
            write_page()


def find_kept(path: Path, settings: RunSettings) -> Results | None:
    """Return the results in a file, which must be from a machine like this one."""
    if not path.exists():
        return None
    before = Results.read(path)
    settings.machine.require_like(before.machine, path)
    return before


def write_page():
    """Write the page and the figures of the guide from the files of all machines beside the page."""
    several = read_machines()
    report.update_page(report.PAGE, several)
    report.draw(report.PAGE.with_name("performance_cpu.png"), several[report.MAIN])
    if shown := show_exporting(several.values()):
        report.replace_blocks(report.GUIDE, {"exporting": shown})


def read_machines() -> dict[str, Results]:
    """Read performance_cpu.json and every performance_cpu_NAME.json: the results by the names of the machines."""
    files = report.files_of_machines(report.PAGE.parent, "performance_cpu")
    return {name: Results.read(path) for name, path in files.items()}


def show_exporting(several: Iterable[Results]) -> str | None:
    """Show what the first machine that ran the suite "exporting" measured, and on what; None if none did."""
    for results in several:
        if found := results.suites.get("exporting"):
            return f"{load_suite('exporting').make_summary(found)}\n\nMeasured on: {results.machine.describe_parts()}."
    return None


if __name__ == "__main__":
    main()

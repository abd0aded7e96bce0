"""The command `python -m benchmarks profile`."""

import argparse
import os
import re
import time
import warnings
from pathlib import Path

import torch
from transformers.utils import logging

from ..harness.machine import Machine, measure_machine
from ..harness.peers import PEERS
from ..harness.report import MAIN
from ..harness.steps import CHECKPOINTING, GLM, NAIVE
from . import page as pages
from .measuring import PartTimes, WorkProfile, measure_work
from .page import FILE, Profiles
from .works import SIZES, WORKS, training

MODELS = (GLM, CHECKPOINTING, NAIVE, *PEERS)


def add_arguments(parser: argparse.ArgumentParser):
    """Declare the arguments of the command."""
    parser.add_argument("works", nargs="*", metavar="WORK", help=f"some of {', '.join(WORKS)}; all of them by default")
    parser.add_argument("--size", choices=SIZES, default="base", help="size of the models and of their work")
    parser.add_argument(
        "--model", choices=MODELS, default=GLM, metavar="NAME", help=f"of training: {', '.join(MODELS)}"
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds with and without the profiler; the best counts")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="CPU threads of torch")
    parser.add_argument("--top", type=int, default=8, help="number of operators to print for each work")
    parser.add_argument(
        "--write",
        type=Path,
        nargs="?",
        const=pages.PAGE,
        metavar="PAGE",
        help="write file, tables and picture of a page, docs/results/profile.md by default",
    )
    parser.add_argument(
        "--machine", metavar="NAME", help="name of another machine, which gets a file and columns of its own"
    )


def check_arguments(parser: argparse.ArgumentParser, args: argparse.Namespace):
    """Refuse arguments that do not fit, and fill in the works."""
    if unknown := [name for name in args.works if name not in WORKS]:
        parser.error(f"{unknown[0]}: expected some of {', '.join(WORKS)}")
    check_measuring(parser, args)
    if args.model != GLM and (args.write or args.works != ["training"]):
        parser.error(f"--model {args.model}: only training has other models, and the page is about {GLM}")
    args.works = [name for name in WORKS if not args.works or name in args.works]


def check_measuring(parser: argparse.ArgumentParser, args: argparse.Namespace):
    """Refuse rounds, threads and names of machines that are none."""
    if args.machine is not None and not re.fullmatch(r"[A-Za-z0-9-]+", args.machine):
        parser.error(f"--machine {args.machine}: expected letters, digits and -")
    if args.rounds < 1 or args.threads < 1:
        parser.error("--rounds and --threads must be at least 1")


def run(args: argparse.Namespace, command: str):
    """Profile the works one after the other, print their tables, and write them if that is wanted."""
    logging.set_verbosity_error()
    warnings.filterwarnings("ignore", category=UserWarning)
    torch.set_num_threads(args.threads)
    size = SIZES[args.size]
    machine = measure_machine([size.shape], "cpu", quick=size.quick)
    print(machine.describe(), flush=True)
    path = args.write and args.write.with_name(FILE + (f"_{args.machine}" if args.machine else "") + ".json")
    kept = find_kept(path, machine) if path and args.works != list(WORKS) else None
    works = dict(kept.works) if kept else {}
    if kept:  # the page names every command that gave some of its figures
        command = " && ".join(dict.fromkeys((*kept.command.split(" && "), command)))
    for name in args.works:
        start = time.perf_counter()
        prepared = training(size, args.model) if name == "training" else WORKS[name](size)
        measured = [measure_work(work, machine, args.rounds) for work in prepared]
        works[name] = [found for found, _ in measured]
        profiles = Profiles(command=command, machine=machine, works={one: works[one] for one in WORKS if one in works})
        print(f"\n{name}, {time.perf_counter() - start:.0f} s", flush=True)
        for found, parts in measured:
            print(f"\n{show_work(args.machine or MAIN, profiles, found, parts, args.top)}", flush=True)
        if path:
            profiles.write(path)
            pages.update_page(args.write, pages.read_machines(args.write.parent))


def find_kept(path: Path, machine: Machine) -> Profiles | None:
    """Return the profiles in a file, which must be from a machine like this one."""
    if not path.exists():
        return None
    before = Profiles.read(path)
    machine.require_like(before.machine, path)
    return before


def show_work(name: str, profiles: Profiles, found: WorkProfile, parts: PartTimes, top: int) -> str:
    """Show the tables of a work, and its longest operators with their categories."""
    only = {name: Profiles(command="", machine=profiles.machine, works={"work": [found]})}
    longest = sorted(parts.operators.items(), key=lambda item: -item[1])[:top]
    operators = [
        f"  {seconds:8.4f} s {seconds / parts.total:6.1%}  {operator} ({category})"
        for (category, operator), seconds in longest
    ]
    tables = [pages.limits_table(only), pages.parts_table(only, found.title)]
    return "\n\n".join([*tables, "\n".join(operators)])

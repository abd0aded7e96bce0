"""
Measure the accuracy of cloze classification on the two embedded tasks, with few and with all examples.

    OMP_NUM_THREADS=1 python -m benchmarks.studies.cloze_accuracy --write docs/results/cloze.md

It runs examples/02_cloze_classification.py for each task, number of examples and seed, and prints tables in Markdown: mean
and standard deviation of the accuracy on the test split, and of the calibration error. With --write they go into a page as
well. Runs that are in --output_dir already are not repeated.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from ..harness.machine import describe_this_machine
from ..harness.measuring import ROOT
from ..harness.report import make_table, mean_and_spread, replace_blocks

SCRIPT = ROOT / "examples" / "02_cloze_classification.py"
ALL = "all"


@dataclass(frozen=True)
class ClozeSetting:
    """A task and the number of examples to train on, a number or "all"."""

    task: str
    shots: str


# Of every run of a setting, the metrics by the name of the method.
Runs = dict[ClozeSetting, list[dict[str, dict[str, Any]]]]


def run_script(setting: ClozeSetting, seed: int, folder: Path) -> dict[str, dict[str, Any]]:
    """Run the script unless its results are there, and return them."""
    results = folder / "results.json"
    if not results.exists():
        command = [sys.executable, str(SCRIPT), "--task", setting.task, "--seed", str(seed)]
        command += ["--output_dir", str(folder), "--disable_tqdm", "true"]
        command += [] if setting.shots == ALL else ["--shots", setting.shots]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return json.loads(results.read_text(encoding="utf-8"))


def accuracy_table(runs: Runs) -> str:
    """Make a table with a row for each setting and a column for each method. A method without a seed has no spread."""
    methods = list(dict.fromkeys(method for several in runs.values() for one in several for method in one))
    rows = []
    for setting, several in runs.items():
        accuracies = {name: [100 * one[name]["accuracy"] for one in several] for name in methods}
        shown = (mean_and_spread(found if len(set(found)) > 1 else found[:1], 1) for found in accuracies.values())
        rows.append((setting.task, setting.shots, *shown))
    return make_table(("task", "examples", *methods), rows)


def calibration_table(runs: Runs) -> str:
    """Make a table of the expected calibration error of trained models, before and after the temperature is fitted."""
    rows = []
    for setting, several in runs.items():
        for method in several[0]:
            fitted = [one[method] for one in several if "ece_calibrated" in one[method]]
            if fitted:
                errors = (mean_and_spread([one[key] for one in fitted], 3) for key in ("ece", "ece_calibrated"))
                rows.append((setting.task, setting.shots, method, *errors))
    return make_table(("task", "examples", "method", "ECE before", "ECE after"), rows)


def main(arguments: Sequence[str] | None = None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=["facts", "prose"])
    parser.add_argument("--shots", nargs="+", default=["32", ALL], help="numbers of examples to train on")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--output_dir", type=Path, default=Path("runs/cloze_accuracy"), help="folder for the runs")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="also write the tables into a page")
    args = parser.parse_args(arguments)
    print(f"{describe_this_machine()}\n", flush=True)
    runs: Runs = {}
    for task, shots in product(args.tasks, args.shots):
        setting = ClozeSetting(task, shots)
        runs[setting] = [run_script(setting, seed, args.output_dir / task / shots / str(seed)) for seed in args.seeds]
    accuracy, calibration = accuracy_table(runs), calibration_table(runs)
    print(f"{accuracy}\n\nExpected calibration error (ECE):\n\n{calibration}")
    if args.write:
        machine = f"Measured on: {describe_this_machine().removeprefix('Machine: ')}"
        replace_blocks(args.write, {"accuracy": accuracy, "calibration": calibration, "machine": machine})


if __name__ == "__main__":
    main()

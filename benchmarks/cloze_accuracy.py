#!/usr/bin/env python
"""
The embedded tasks of examples/02_cloze_classification.py with few and with all examples, over several seeds: accuracy on
the test split, mean and standard deviation, as a table in Markdown.

    python benchmarks/cloze_accuracy.py --seeds 0 1 2
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "examples" / "02_cloze_classification.py"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=["facts", "prose"])
    parser.add_argument("--shots", nargs="+", default=["32", "all"], help="Numbers of examples to train on.")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--output_dir", default="runs/cloze_accuracy", help="Runs that are there already are kept.")
    args = parser.parse_args()

    rows: dict[tuple[str, str], dict[str, list[dict]]] = {}
    for task in args.tasks:
        for shots in args.shots:
            for seed in args.seeds:
                folder = Path(args.output_dir) / task / shots / str(seed)
                if not (folder / "results.json").exists():
                    command = [sys.executable, str(SCRIPT), "--task", task, "--seed", str(seed)]
                    command += ["--output_dir", str(folder), "--disable_tqdm", "true"]
                    command += [] if shots == "all" else ["--shots", shots]
                    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
                for name, metrics in results.items():
                    rows.setdefault((task, shots), {}).setdefault(name, []).append(metrics)

    methods = list(dict.fromkeys(name for results in rows.values() for name in results))
    print(f"| task | examples | {' | '.join(methods)} |")
    print("|---|---|" + "---|" * len(methods))
    for (task, shots), results in rows.items():
        cells = [summary([metrics["accuracy"] for metrics in results[name]]) for name in methods]
        print(f"| {task} | {shots} | {' | '.join(cells)} |")
    print("\nExpected calibration error of the fine-tuned model, before and after the temperature:")
    for (task, shots), results in rows.items():
        for name, metrics in results.items():
            fitted = [row for row in metrics if "ece_calibrated" in row]
            if fitted:
                before, after = (summary([row[key] for row in fitted], 3) for key in ("ece", "ece_calibrated"))
                print(f"  {task}, {shots}, {name}: {before} -> {after} ({len(fitted)} seeds)")


def summary(values: list[float], digits: int = 1) -> str:
    if digits == 1:
        values = [100 * value for value in values]
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.{digits}f} ± {spread:.{digits}f}"


if __name__ == "__main__":
    main()

"""
Measure cloze classification on real tasks, with few and with all examples, beside other methods.

    OMP_NUM_THREADS=1 python -m benchmarks.studies.real_tasks

The tasks need the files of `make data`. One command makes one row, one cell, or everything that is missing:

    python -m benchmarks.studies.real_tasks --task trec --shots 32
    python -m benchmarks.studies.real_tasks --task trec --shots all --method head --model runs/my-glm
    python -m benchmarks.studies.real_tasks --estimate

Methods:

- cloze: the model fills the blank of the task. With 0 examples it is not trained, and its answers are calibrated by texts
  without content.
- random: the same, trained from random weights.
- head: the model with a classification head instead of the blank, with the same examples, steps and optimizer.
- logistic, svm: linear classifiers on TF-IDF of words and pairs of words. They read whole texts.
- majority: the most frequent label of all training examples.

A learning rate is chosen for every row by the accuracy on validation examples: three rates, and further ones while the best
is the highest or the lowest. Linear classifiers choose their regularization in the same way. `--rates` stops after that.

The study makes these choices to fit into a few hours on two CPU cores, which `--estimate` counts before they begin:

- Networks read at most 128 tokens of a text.
- With 32 and 128 examples a network makes 80 training steps. With all examples it makes one epoch, or two over the short
  texts of trec.
- Learning rates of rows with all examples are chosen with at most 1,000 training and 400 validation examples.
- Rows report on at most 1,000 test examples, the same ones for every row and method.
- With 32 examples there are 32 more for validation, with 128 there are 128.

Results are JSON files in `--output_dir`. Run the same command again to resume: cells that have run are not repeated. To use
two cores, run two commands with different `--task` in the same folder.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from examples.corpora.real_tasks import REAL_TASKS
from modeling_glm.utils.precision import has_fast_bf16

from ...harness.embedded import EMBEDDED
from ...harness.machine import describe_this_machine
from .budgets import SHOTS
from .cells import Row, TaskStudy, missing_cells, rows_of
from .estimate import estimate_rows
from .methods import METHODS
from .tables import all_tables, write_tables


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", nargs="+", choices=REAL_TASKS, default=list(REAL_TASKS), metavar="NAME")
    parser.add_argument(
        "--shots", nargs="+", choices=SHOTS, default=list(SHOTS), help="numbers of examples: 0, 32, 128, all"
    )
    parser.add_argument("--method", nargs="+", choices=METHODS, default=list(METHODS), metavar="NAME")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--model", default=str(EMBEDDED), help="folder or hub id of a GLM")
    parser.add_argument("--output_dir", type=Path, default=Path("runs/real_tasks"), help="folder of the results")
    parser.add_argument("--estimate", action="store_true", help="print the CPU time of what is missing, and stop")
    parser.add_argument("--rates", action="store_true", help="choose the learning rates, and stop")
    parser.add_argument("--tables", action="store_true", help="print the tables of what has run, and stop")
    parser.add_argument(
        "--write", type=Path, metavar="PAGE", help="also write the tables into a page; its other rows stay"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None):
    """Run what is missing, and print the tables."""
    args = parse_arguments(arguments)
    disable_progress_bar()
    set_verbosity_error()  # a new head has new weights, which Transformers says each time
    study = TaskStudy(args.model, args.output_dir, bf16=choose_precision(args.output_dir))
    rows = rows_of(args.task, args.shots, args.method)
    if not args.tables:
        estimated = estimate_rows(study, rows, args.seeds)
        tell(describe_this_machine())
        tell(f"{len(list(missing_cells(study, rows, args.seeds)))} cells are missing.")
        tell(f"Estimate: {sum(estimated.values()) / 3600:.2f} hours of CPU time.")
        if args.estimate:
            for row, seconds in estimated.items():
                print(f"{' '.join(row):36} {seconds:8.0f} s")
            return
        run_rows(study, rows, args.seeds, only_rates=args.rates)
    tables = all_tables(study, rows, args.seeds)
    for name, table in tables.items():
        print(f"{name}:\n\n{table}\n")
    if args.write:
        write_tables(args.write, tables)


def choose_precision(folder: Path) -> bool:
    """Return whether to train in bf16: as the runs in the folder did, else if that is faster on this machine."""
    # The measurement may come out otherwise on a busy machine, and runs of two precisions must not mix.
    before = TaskStudy.read_description(folder)
    return has_fast_bf16() if before is None else before["precision"] == "bf16"


def run_rows(study: TaskStudy, rows: Sequence[Row], seeds: Sequence[int], only_rates: bool = False):
    """Choose the learning rate of each row, and run its cells."""
    for row in rows:
        rate = study.choose_rate(row)
        if only_rates:
            tell(f"{' '.join(row)}: learning rate {rate}")
            continue
        for seed in row.seeds(seeds):
            result = study.run(row, seed)
            tell(f"{' '.join(row)}, seed {seed}: accuracy {result['accuracy']:.3f}, {result['train_seconds']:.0f} s")


def tell(message: str):
    """Say how far the study is, apart from its tables."""
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\nStopped. Run the same command again to resume.")
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")

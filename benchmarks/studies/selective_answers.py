"""
Measure whether rules for acting on probabilities keep their promises on held-out examples of real tasks.

    OMP_NUM_THREADS=1 python -m benchmarks.studies.selective_answers --write docs/results/cloze.md

The embedded checkpoint learns a task from 128 examples. Half of the validation examples fit its temperature, the other half
the prediction sets. The test examples show how many sets have the right label, and how the accuracy rises when only the most
confident predictions count. The tasks need the files of `make data`.
"""

import argparse
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.stats import betabinom
from transformers import AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from examples.corpora.cloze_tasks import in_random_order
from examples.corpora.real_tasks import REAL_TASKS
from modeling_glm.cloze.answers.reliability import selective_accuracy
from modeling_glm.cloze.classifier import ClozeClassifier
from modeling_glm.cloze.sources import ClozeData, Examples

from ..harness.embedded import EMBEDDED
from ..harness.machine import describe_this_machine
from ..harness.report import make_table, replace_blocks
from .real_tasks.budgets import FEW
from .real_tasks.neural import build_cloze, fine_tune

SHOTS = "128"
# The learning rates that the study of real tasks has chosen for 128 examples.
RATES = {"trec": 1e-3, "sms_spam": 1e-4}
COVERAGES = (0.8, 0.9, 0.95)
ANSWERED = (0.2, 0.4, 0.6, 0.8, 1.0)
COVERAGE_COLUMNS = ("task", "asked for", "found", "99.8% of all draws lie within", "labels in a set")


def train_classifier(data: ClozeData, model: str, rate: float, seed: int, folder: Path) -> ClozeClassifier:
    """Fine-tune on the training examples, and fit the temperature on the validation examples."""
    network = build_cloze(model, data, seed)
    fine_tune(network, data.train, FEW[SHOTS], rate, seed, bf16=False, folder=folder)
    tokenizer = AutoTokenizer.from_pretrained(model)
    classifier = ClozeClassifier(network.model.eval(), tokenizer, data.task, max_length=data.max_length, batch_size=64)
    classifier.fit_temperature(data.validation)
    return classifier


def bounds_of_coverage(coverage: float, fitted: int, tested: int) -> tuple[float, float]:
    """
    Find where the share of right sets lies in all but two of a thousand draws of both sets of examples.

    The number of right sets is beta-binomial (Vovk 2012, "Conditional validity of inductive conformal predictors").
    """
    place = math.ceil(round((fitted + 1) * coverage, 6))
    number = betabinom(tested, place, fitted + 1 - place)
    return float(number.ppf(0.001)) / tested, float(number.ppf(0.999)) / tested


def measure_coverage(name: str, classifier: ClozeClassifier, rule: Examples, test: Examples) -> list[tuple[str, ...]]:
    """Make the rows of a task: the coverage asked for, that of the test examples, its bounds, and the size of the sets."""
    right = [classifier.task.labels[classifier.task.label_index(example)] for example in test]
    rows = []
    for coverage in COVERAGES:
        classifier.fit_coverage(rule, coverage)
        sets = classifier.predict_sets(test)
        found = np.mean([label in of_example for label, of_example in zip(right, sets, strict=True)])
        low, high = bounds_of_coverage(coverage, len(rule), len(test))
        size = np.mean([len(of_example) for of_example in sets])
        rows.append((name, f"{coverage:.0%}", f"{found:.1%}", f"{low:.1%} to {high:.1%}", f"{size:.2f}"))
    return rows


def measure_accuracy(name: str, classifier: ClozeClassifier, test: Examples) -> tuple[str, ...]:
    """Make the row of a task: the accuracy of the most confident predictions, by the share of the examples that they are."""
    labels = [classifier.task.label_index(example) for example in test]
    curve = selective_accuracy(classifier.predict_proba(test), labels)
    places = np.searchsorted(curve.answered, ANSWERED)
    return name, *(f"{accuracy:.1%}" for accuracy in curve.accuracy[places])


def main(arguments: Sequence[str] | None = None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=RATES, default=list(RATES))
    parser.add_argument("--model", default=str(EMBEDDED), help="folder or hub id of a GLM")
    parser.add_argument("--seed", type=int, default=0, help="seed of the examples and of the training")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="also write the tables into a page")
    args = parser.parse_args(arguments)
    disable_progress_bar()
    machine = describe_this_machine()
    print(f"{machine}\n", flush=True)
    coverage, accuracy = [], []
    for name in args.tasks:
        data = REAL_TASKS[name]()
        held_out = in_random_order(data.validation)
        half = len(held_out) // 2
        with tempfile.TemporaryDirectory() as folder:
            few = ClozeData(
                name=name,
                task=data.task,
                train=data.take_shots(int(SHOTS), args.seed).train,
                validation=held_out[:half],
                test=data.test,
                max_length=data.max_length,
            )
            classifier = train_classifier(few, args.model, RATES[name], args.seed, Path(folder, "training"))
        coverage += measure_coverage(name, classifier, held_out[half:], data.test)
        accuracy.append(measure_accuracy(name, classifier, data.test))
    blocks = {
        "sets": make_table(COVERAGE_COLUMNS, coverage),
        "selective": make_table(("task", *(f"{share:.0%} answered" for share in ANSWERED)), accuracy),
    }
    print("\n\n".join(blocks.values()))
    if args.write:
        replace_blocks(args.write, blocks)


if __name__ == "__main__":
    main()

"""Load a real task: its examples in three splits, with its pattern and words."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from modeling_glm import PatternVerbalizer
from modeling_glm.cloze.sources import ClozeData
from modeling_glm.utils.splits import hold_out

from ..archives.folder import require
from ..cloze_tasks import in_random_order, normalized, split_of
from .readers import FORMS, Example

HERE = Path(__file__).parent
# Where the archive has no splits, these are ours.
SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}


def read_description(name: str) -> dict[str, Any]:
    """
    Read the JSON file of a task.

    Args:
        name: One of `REAL_TASKS`.

    Returns:
        `about`; `package` and `files` of the archive, by split or for "all"; `form`, one of `readers.FORMS`; `pattern`
        and `verbalizer`, whose words have the space of the pattern in front of them, so that no other form is asked; `max_length`, where texts are cut, in tokens.
    """
    return json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))


def load_real_task(name: str) -> ClozeData:
    """
    Load a task from the files that `make data` fetches.

    If the archive has a training and a test split, all of their examples are used, also those that occur twice. A tenth of
    the training split is held out for validation, by a hash.

    Otherwise the splits are ours: a hash of the words of a text chooses 70% for training, 10% for validation and 20% for
    the test. Texts with the same words count as one. They are left out if their labels differ.

    Args:
        name: One of `REAL_TASKS`.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file has another form, or a label that the task does not know.
    """
    description = read_description(name)
    task = PatternVerbalizer(description["pattern"], description["verbalizer"], name=name)
    read = FORMS[description["form"]]
    paths = {split: require(description["package"], file) for split, file in description["files"].items()}
    examples = {split: list(read(path)) for split, path in paths.items()}
    for split, path in paths.items():
        if unknown := {example["label"] for example in examples[split]} - set(task.labels):
            raise ValueError(f"{path} has the labels {sorted(unknown)}: expected {task.labels}.")
    if "all" in examples:
        splits = split_by_words(examples["all"])
    else:
        train, validation = hold_out(examples["train"])
        splits = {"train": train, "validation": validation, "test": examples["test"]}
    return ClozeData(name, task, **splits, max_length=description["max_length"])


def split_by_words(examples: Iterable[Example]) -> dict[str, list[Example]]:
    """Split examples by a hash of the words of their text; one example for all texts with the same words."""
    found: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        found[normalized(example["text"])].append(example)
    splits: dict[str, list[Example]] = {name: [] for name in SHARES}
    for key in in_random_order(found):
        if len({example["label"] for example in found[key]}) == 1:
            splits[split_of(key, SHARES)].append(found[key][0])
    return splits


REAL_TASKS: dict[str, Callable[[], ClozeData]] = {
    name: partial(load_real_task, name) for name in ("rotten_tomatoes", "trec", "sms_spam", "newsgroups", "r8")
}


__all__ = ["REAL_TASKS", "SHARES", "load_real_task", "read_description", "split_by_words"]

"""Where 02_cloze_classification.py has its examples from: the embedded tasks, published ones, or files of your own."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cloze_tasks import EMBEDDED_TASKS, few_shot

from modeling_glm import PatternVerbalizer
from modeling_glm.cloze.metrics import SUBMISSION_FILES
from modeling_glm.tokenization.cloze.files import DELIMITERS, JSON_LINES, read_examples
from modeling_glm.tokenization.cloze.published import read_task
from modeling_glm.tokenization.cloze.rows import example_from_row
from modeling_glm.tokenization.cloze.superglue import read_superglue

Examples = list[dict[str, Any]]
# What files and datasets call the part that results are reported on, the likeliest first.
VALIDATION_NAMES = ("validation", "val", "dev", "validation_matched")


@dataclass(frozen=True)
class ClozeData:
    """
    A task with its examples: `train` to learn from, `validation` to fit a temperature on, `test` to report on, and
    `unlabelled` ones to be predicted.
    """

    name: str
    task: PatternVerbalizer
    train: Examples
    validation: Examples
    test: Examples
    unlabelled: Examples

    def take_shots(self, shots: int, seed: int) -> "ClozeData":
        """
        With `shots` examples to train on, the same for the same seed. As many others are kept for validation: who has 32
        labelled examples has no thousand to fit a temperature on.
        """
        field = self.task.patterns[0].label_field
        train = few_shot(self.train, shots, seed, label_field=field)
        validation = self.validation
        if shots < len(validation):
            validation = few_shot(validation, shots, seed, label_field=field)
        return replace(self, train=train, validation=validation)


def load_embedded(name: str) -> ClozeData:
    """A task made of Python's own documentation."""
    data = EMBEDDED_TASKS[name]()
    task = PatternVerbalizer(data.pattern, data.verbalizer, name=name)
    return ClozeData(name, task, data.train, data.validation, data.test, [])


def load_published(name: str, patterns: Sequence[int], data_dir: str | None, p_tuning: bool) -> ClozeData:
    """A task of the originals: SuperGLUE from its official files, others from files like theirs or from `datasets`."""
    task = PatternVerbalizer.from_task(name, p_tuning=p_tuning).select(patterns)
    field = task.patterns[0].label_field
    if name in SUBMISSION_FILES:
        if data_dir is None:
            raise SystemExit(f"--task {name} needs --data_dir: the folder with the official files of SuperGLUE.")
        diagnostic = name in ("axb", "axg")  # these have no examples to train on
        train = [] if diagnostic else read_superglue(name, data_dir, "train")
        test = read_superglue(name, data_dir, "test" if diagnostic else "val")
        try:
            unlabelled = test if diagnostic else read_superglue(name, data_dir, "test")
        except FileNotFoundError:
            unlabelled = []
    else:
        train, test, unlabelled = _load_rows(read_task(name), data_dir)
    train, validation = hold_out([example for example in train if example.get(field) is not None])
    return ClozeData(name, task, train, validation, test, unlabelled)


def load_files(
    task: PatternVerbalizer, train: str | None, validation: str | None, test: str, unlabelled: str | None
) -> ClozeData:
    """Examples of your own; a tenth of those to train on is held out where there is no file for validation."""
    columns = sorted(task.fields)
    labelled = [*columns, task.label_field]
    to_train = read_examples(train, labelled) if train else []
    if validation:
        held_out = read_examples(validation, labelled)
    else:
        to_train, held_out = hold_out(to_train)
    return ClozeData(
        task.name or Path(test).stem,
        task,
        to_train,
        held_out,
        read_examples(test, labelled),
        read_examples(unlabelled, columns) if unlabelled else [],
    )


def hold_out(examples: Examples) -> tuple[Examples, Examples]:
    """A tenth of the examples apart, by a hash of what they say, so that their order does not matter."""

    def digest(example: dict[str, Any]) -> bytes:
        text = json.dumps(example, sort_keys=True, default=str, ensure_ascii=False)
        return hashlib.sha256(text.encode("utf-8")).digest()

    digests = [digest(example) for example in examples]
    limit = sorted(digests)[len(examples) // 10] if examples else b""
    held_out = [example for example, value in zip(examples, digests, strict=True) if value < limit]
    return [example for example, value in zip(examples, digests, strict=True) if value >= limit], held_out


def _load_rows(data: dict[str, Any], data_dir: str | None) -> tuple[Examples, Examples, Examples]:
    if data_dir is not None:
        splits = {
            path.stem: path for path in sorted(Path(data_dir).iterdir()) if path.suffix in {*DELIMITERS, *JSON_LINES}
        }
        rows = {name: read_examples(path) for name, path in splits.items()}
    else:
        from datasets import load_dataset

        dataset = load_dataset(data["dataset"]["path"], data["dataset"].get("config"))
        rows = {name: list(split) for name, split in dataset.items()}
    examples = {name: [example_from_row(data, row) for row in split] for name, split in rows.items()}
    if "train" not in examples:
        raise SystemExit(f"There is no 'train' among {sorted(examples)}.")
    validation = next((examples[name] for name in VALIDATION_NAMES if name in examples), None)
    if validation is not None:
        return examples["train"], validation, examples.get("test", [])
    if "test" not in examples:
        raise SystemExit(f"There is neither 'validation' nor 'test' among {sorted(examples)}.")
    return examples["train"], examples["test"], []

"""Load the tasks of multi-task training: published ones with the files of their authors, and files of your own."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..tokenization import DataCollatorForInfillingSeq2Seq, GLMTokenizer, PatternVerbalizer
from ..tokenization.cloze.originals import original_tasks, read_original
from ..tokenization.cloze.superglue import SUPERGLUE_TASKS, read_superglue
from ..tokenization.multitask.draws import TaskMixture
from ..tokenization.multitask.examples import ClozeExamples, Encoded, Seq2SeqExamples, TaskExamples
from ..tokenization.row_files import read_examples
from ..tokenization.seq2seq.published import available_seq2seq_tasks, read_seq2seq_task
from ..utils.splits import hold_out
from ..utils.yaml_text import read_yaml

Rows = Sequence[Mapping[str, Any]]
# The keys of an entry: of a published task, and of files of your own, where `verbalizer` or `choices` make a cloze task.
PUBLISHED_KEYS = ("task", "data_dir", "patterns", "original_spaces", "max_target_length")
CLOZE_KEYS = ("verbalizer", "choices", "label_field")
OWN_KEYS = ("name", "train_file", "validation_file", "pattern", "target", "max_target_length", *CLOZE_KEYS)
TARGET_SHARE = 4  # a target gets at most this part of a sample, unless the entry says otherwise
# The most samples of a task that are encoded before a run starts.
MOST_TRIED = 20_000


class ClozeSplits(Protocol):
    """Describe a cloze task that a program brings along, such as a `ClozeData`."""

    task: PatternVerbalizer
    train: Rows
    validation: Rows


EmbeddedTasks = Mapping[str, Callable[[], ClozeSplits]]


@dataclass(frozen=True, kw_only=True)
class TaskSplits:
    """
    Hold the samples of a task.

    Attributes:
        train: Those to train on.
        validation: Those to validate on; None if the task has none.
        digest: A hash of the rows to train on, for the identity of a run.
    """

    train: TaskExamples
    validation: TaskExamples | None
    digest: str


@dataclass(frozen=True, kw_only=True)
class TaskSet:
    """Hold the tasks of a run."""

    tasks: Sequence[TaskSplits]

    def mixture(self, seed: int) -> TaskMixture:
        """Return the draws of the samples to train on."""
        return TaskMixture([task.train for task in self.tasks], seed)

    def validation(self, count: int) -> list[Encoded]:
        """Encode about `count` samples to validate on, spread over each task: the same ones at every validation."""
        held_out = [task.validation for task in self.tasks if task.validation is not None]
        share = max(1, count // max(1, len(held_out)))
        return [task.encode(number) for task in held_out for number in range(0, len(task), -(-len(task) // share))]

    def describe(self) -> dict[str, Any]:
        """Return names, sizes, weights and hashes of the tasks, by which a run is known again."""
        weights = self.mixture(0).weights.round(6).tolist()
        return {
            task.train.name: {"samples": len(task.train), "weight": weight, "rows": task.digest}
            for task, weight in zip(self.tasks, weights, strict=True)
        }


def load_tasks(
    entries: Sequence[str | Mapping[str, Any]],
    tokenizer: GLMTokenizer,
    max_length: int,
    embedded: EmbeddedTasks | None = None,
) -> TaskSet:
    """
    Load tasks.

    Args:
        entries: "NAME=FOLDER" for a published task and the folder with its files, the name of an embedded task, a YAML
            file with a list of entries, or an entry as a dict. That has the keys "task" and "data_dir", and if you wish
            "patterns" and "original_spaces"; or for data of your own "name", "train_file", "pattern" and "verbalizer"
            (or "choices") of a cloze task, or "target" of a task from source to target.
        tokenizer: The vocabulary of the run.
        max_length: Most tokens of a sample.
        embedded: Tasks that the program brings along, by name.

    Raises:
        ValueError: For an unknown task or key, a task without examples, rows that the task cannot read, and two tasks of
            one name.
        FileNotFoundError: If a file is missing.
    """
    found = [_load(entry, tokenizer, max_length, embedded or {}) for entry in _read_entries(entries)]
    tasks = TaskSet(tasks=found)
    tasks.mixture(0)  # raises for two tasks of one name
    return tasks


def _read_entries(entries: Sequence[str | Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    for entry in entries:
        if not isinstance(entry, str):
            yield dict(entry)
        elif entry.endswith((".yaml", ".yml")):
            yield from _read_task_file(Path(entry))
        else:
            name, sign, folder = entry.partition("=")
            yield {"task": name, "data_dir": folder} if sign else {"task": name}


def _read_task_file(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path} with tasks.")
    try:
        found = read_yaml(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not YAML: {error}") from None
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise ValueError(f"{path} does not hold a list of tasks, each with its keys.")
    return found


def _load(entry: dict[str, Any], tokenizer: GLMTokenizer, max_length: int, embedded: EmbeddedTasks) -> TaskSplits:
    own = "task" not in entry
    allowed = OWN_KEYS if own else PUBLISHED_KEYS
    if unknown := sorted(set(entry) - set(allowed)):
        raise ValueError(f"The task {entry} has unknown keys {unknown}: expected some of {list(allowed)}.")
    if own:
        return _load_own(entry, tokenizer, max_length)
    name = entry["task"]
    if name in embedded and "data_dir" not in entry:
        data = embedded[name]()
        return _cloze(name, data.task, data.train, data.validation, tokenizer, max_length)
    cloze, seq2seq = {*SUPERGLUE_TASKS, *original_tasks()}, available_seq2seq_tasks()
    if name not in cloze and name not in seq2seq:
        raise ValueError(
            f"Unknown task {name!r}: there are the cloze tasks {sorted(cloze)}, the tasks from source to target {seq2seq}"
            f"{f' and the embedded {sorted(embedded)}' if embedded else ''}. For data of your own give a YAML file."
        )
    if not entry.get("data_dir"):
        raise ValueError(f"Task {name!r} needs its files: write {name}=FOLDER.")
    if name in cloze:
        return _load_published_cloze(entry, tokenizer, max_length)
    return _load_published_seq2seq(entry, tokenizer, max_length)


def _load_published_cloze(entry: dict[str, Any], tokenizer: GLMTokenizer, max_length: int) -> TaskSplits:
    name, folder = entry["task"], entry["data_dir"]
    task = PatternVerbalizer.from_task(name, original_spaces=bool(entry.get("original_spaces")))
    # A pattern with another label field, of WSC, is not one of the originals and has other examples.
    usual = [number for number, pattern in enumerate(task.patterns) if pattern.label_field == task.label_field]
    task = task.select(entry.get("patterns") or usual)
    read = read_superglue if name in SUPERGLUE_TASKS else read_original
    train = read(name, folder, "train")
    try:
        validation = read(name, folder, "val")
    except FileNotFoundError:
        train, validation = hold_out(train)
    return _cloze(name, task, train, validation, tokenizer, max_length)


def _load_published_seq2seq(entry: dict[str, Any], tokenizer: GLMTokenizer, max_length: int) -> TaskSplits:
    task = read_seq2seq_task(entry["task"])
    shipped = task.settings.get("max_target_length") or max_length
    lengths = _share_length(max_length, entry, shipped)
    settings = task.collator_settings(tokenizer, **lengths)
    collator = DataCollatorForInfillingSeq2Seq(tokenizer, **settings)

    def read(split: str) -> Rows:
        length = lengths["max_source_length"]
        return task.read(entry["data_dir"], split, tokenizer=tokenizer, max_source_length=length)

    train = read("train")
    try:
        validation = read("validation")
    except FileNotFoundError:
        train, validation = hold_out(train)
    return _seq2seq(task.name, collator, train, validation)


def _load_own(entry: dict[str, Any], tokenizer: GLMTokenizer, max_length: int) -> TaskSplits:
    if missing := [key for key in ("name", "train_file", "pattern") if not entry.get(key)]:
        raise ValueError(f"The task {entry} lacks {missing}: give the name, the file and the pattern, or task=NAME.")
    name, is_cloze = entry["name"], bool(entry.get("verbalizer") or entry.get("choices"))
    if is_cloze == bool(entry.get("target")):
        raise ValueError(
            f"The task {name!r} needs either a verbalizer or choices (a cloze task), or the target column (a task from "
            "source to target)."
        )
    if is_cloze:
        task = PatternVerbalizer(
            entry["pattern"],
            entry.get("verbalizer"),
            entry.get("choices"),
            label_field=entry.get("label_field", "label"),
            name=name,
        )

        def check(example: dict[str, Any]) -> dict[str, Any]:
            task.check(example, labelled=True)
            return example

        train, validation = _read_own(entry, convert=check)
        return _cloze(name, task, train, validation, tokenizer, max_length)
    lengths = _share_length(max_length, entry, max_length)
    collator = DataCollatorForInfillingSeq2Seq(tokenizer, entry["pattern"], target=entry["target"], **lengths)
    train, validation = _read_own(entry, columns=sorted({*collator.fields, entry["target"]}))
    return _seq2seq(name, collator, train, validation)


def _read_own(entry: Mapping[str, Any], **settings: Any) -> tuple[Rows, Rows]:
    train = read_examples(entry["train_file"], **settings)
    if entry.get("validation_file"):
        return train, read_examples(entry["validation_file"], **settings)
    return hold_out(train)


def _share_length(max_length: int, entry: Mapping[str, Any], shipped: int) -> dict[str, int]:
    """Share the tokens of a sample among source and target."""
    target = int(entry.get("max_target_length") or min(shipped, max(1, max_length // TARGET_SHARE)))
    if not 0 < target < max_length:
        raise ValueError(
            f"max_target_length={target} of the task {entry}: expected 1 to {max_length - 1} (max_length - 1)."
        )
    return {"max_source_length": max_length - target, "max_target_length": target}


def _cloze(
    name: str, task: PatternVerbalizer, train: Rows, validation: Rows, tokenizer: GLMTokenizer, max_length: int
) -> TaskSplits:
    def is_labelled(example: Mapping[str, Any]) -> bool:
        return all(task.label_index(example, number) is not None for number in range(len(task.patterns)))

    splits = [[example for example in rows if is_labelled(example)] for rows in (train, validation)]
    shared: dict[str, Any] = {"task": task, "tokenizer": tokenizer, "max_length": max_length, "name": name}
    learned = ClozeExamples(examples=splits[0], **shared)
    _try_out(learned)
    return TaskSplits(
        train=learned,
        validation=ClozeExamples(examples=splits[1], **shared) if splits[1] else None,
        digest=_digest(splits[0]),
    )


def _seq2seq(name: str, collator: DataCollatorForInfillingSeq2Seq, train: Rows, validation: Rows) -> TaskSplits:
    splits = [[row for row in rows if row.get(collator.target)] for rows in (train, validation)]
    learned = Seq2SeqExamples(name=name, rows=splits[0], encode_row=collator.encode_references)
    _try_out(learned)
    held_out = Seq2SeqExamples(name=name, rows=splits[1], encode_row=collator.encode_references) if splits[1] else None
    return TaskSplits(train=learned, validation=held_out, digest=_digest(splits[0]))


def _try_out(examples: TaskExamples):
    """
    Encode all samples, of many the first ones, so that what cannot be encoded is refused at once and not when it is drawn.

    Raises:
        ValueError: For the first of them, with its number.
    """
    for number in range(min(len(examples), MOST_TRIED)):
        try:
            examples.encode(number)
        except ValueError as error:
            raise ValueError(f"Task {examples.name!r}, sample {number}: {error}") from error


def _digest(rows: Rows) -> str:
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row, sort_keys=True, default=str, ensure_ascii=False).encode("utf-8"))
    return digest.hexdigest()[:16]


__all__ = ["EmbeddedTasks", "TaskSet", "TaskSplits", "load_tasks"]

"""
Read the tasks that the originals' seq2seq code has: their files, the pattern of their sources, and the shipped
settings.

`available_seq2seq_tasks` lists them, and `read_seq2seq_task` returns one. The folder `tasks` has a file for each, with
what differs from the originals.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from .layouts import OriginalLayout
from .readers.line_pairs import read_blanks, read_extraction, read_summaries, read_xsum
from .readers.questions import read_cmrc, read_question_generation
from .readers.reading import Reading, Row
from .readers.squad import read_squad

# What a caller may call a split -> its name in the task files and in the originals.
SPLITS = {"train": "train", "validation": "dev", "val": "dev", "valid": "dev", "dev": "dev", "test": "test"}


@dataclass(frozen=True)
class Seq2SeqTask:
    """
    Hold a task of the originals' seq2seq code.

    Args:
        name: Its name, as in their `--task`.
        reader: What reads its files.
        files: The files of each split.
        pattern: The pattern of its sources, for `DataCollatorForInfillingSeq2Seq`.
        metrics: Names of the metrics that measure it; see `modeling_glm.seq2seq.metrics`.
        best_metric: The result that chooses the best checkpoint.
        settings: The shipped lengths and settings of decoding; `extraction` has none.
        differences: What differs from the originals' texts unless `original=True`, one sentence each.
        faults: The mistakes of the originals, which we repeat only with `faults=True`, one sentence each.
        clean: How texts are cleaned; see `clean_text`.
        answered_only: The splits in which windows without an answer are left out.
        original: The `pattern` and the switches of the `layout` that the originals have, where they differ.
    """

    name: str
    reader: str
    files: Mapping[str, Sequence[str]]
    pattern: str
    metrics: Sequence[str]
    best_metric: str
    settings: Mapping[str, Any]
    differences: Sequence[str]
    faults: Sequence[str]
    clean: str = "none"
    answered_only: Sequence[str] = ()
    original: Mapping[str, Any] = field(default_factory=dict)

    @property
    def splits(self) -> list[str]:
        """The splits that it has: "train", "validation", "test"."""
        return [{"dev": "validation"}.get(split, split) for split in self.files]

    def pattern_for(self, tokenizer: PreTrainedTokenizerBase, original: bool = False) -> str:
        """Return the pattern, with `[MASK]` in the place of `[sMASK]` if the vocabulary has none."""
        pattern = self.original.get("pattern", self.pattern) if original else self.pattern
        return pattern if getattr(tokenizer, "smask_token", None) is not None else pattern.replace("[sMASK]", "[MASK]")

    def layout_for(self, original: bool = False) -> str | OriginalLayout:
        """Return the layout for the collator: "glm", or the `OriginalLayout` of the task."""
        return OriginalLayout(**self.original.get("layout", {})) if original else "glm"

    def collator_settings(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        original: bool = False,
        max_source_length: int | None = None,
        max_target_length: int | None = None,
        mask_ratio: float = 0.3,
    ) -> dict[str, Any]:
        """
        Return the arguments of `DataCollatorForInfillingSeq2Seq` for the task.

        Args:
            tokenizer: A `GLMTokenizer`.
            original: Whether sources and targets are laid out as for checkpoints that the originals fine-tuned.
            max_source_length, max_target_length: Lengths in place of the shipped ones. In the originals' layout of
                "blank", the second is by default `int(max_source_length * mask_ratio)`.
            mask_ratio: Share of the words that "blank" replaces.
        """
        source = max_source_length or self.settings.get("max_source_length")
        target = max_target_length or self.settings.get("max_target_length")
        if original and self.reader == "blanks" and max_target_length is None and source is not None:
            target = int(source * mask_ratio)
        return {
            "pattern": self.pattern_for(tokenizer, original),
            "max_source_length": source,
            "max_target_length": target,
            "layout": self.layout_for(original),
        }

    def read(
        self,
        data_dir: str | os.PathLike,
        split: str,
        *,
        tokenizer: PreTrainedTokenizerBase | None = None,
        max_source_length: int | None = None,
        mask_ratio: float = 0.3,
        seed: int = 0,
        original: bool = False,
        faults: bool = False,
    ) -> list[Row]:
        """
        Read one split.

        Args:
            data_dir: The folder with the files.
            split: "train", "validation" ("val", "valid", "dev") or "test".
            tokenizer: A `GLMTokenizer`. Only "squad" and "squad_v1" and `original` need it.
            max_source_length: Most tokens of a source, for the windows of "squad" and "squad_v1"; by default the
                shipped 512.
            mask_ratio: Share of the words that "blank" replaces. Its test files have it in their name.
            seed: Seed of their choice.
            original: Whether texts are those that the originals' layout needs, and references those of their metrics.
            faults: Whether to repeat the mistakes of the originals too; `task.faults` lists them. This needs
                `original`.

        Returns:
            Dicts with the fields of the pattern, `target` (a text, or a list with one for each blank), `references`
            (the texts that metrics compare with) and `id`. Questions whose file hides the answer have no `target`.
            With `faults` a row has `original`: the `uid`, `text_a`, `text_b` and `meta` of the originals' example.

        Raises:
            FileNotFoundError: If the folder or a file does not exist.
            ValueError: For a split that the task lacks, and for files of another form. The message names file and
                line.
        """
        folder = Path(data_dir)
        if SPLITS.get(split) not in self.files:
            raise ValueError(f"Task {self.name!r} has no split {split!r}: expected one of {self.splits}.")
        if not folder.is_dir():
            raise FileNotFoundError(f"There is no folder {folder}: give the one with the files of {self.name!r}.")
        if original and tokenizer is None:
            raise ValueError("original=True reads references through the vocabulary: give tokenizer.")
        if faults and not original:
            raise ValueError("faults=True reads as the originals do: set original=True too.")
        names = self.files[SPLITS[split]]
        reading = Reading(
            task=self.name,
            split=SPLITS[split],
            paths=[folder / name.format(mask_ratio=f"{mask_ratio:g}") for name in names],
            original=original,
            faults=faults,
            tokenizer=tokenizer,
            max_source_length=max_source_length or self.settings.get("max_source_length"),
            mask_ratio=mask_ratio,
            seed=seed,
        )
        return self._reader(reading)

    def _reader(self, reading: Reading) -> list[Row]:
        # The originals leave them out in every split.
        answered_only = list(self.files) if reading.faults and self.answered_only else self.answered_only
        readers: dict[str, Callable[[Reading], list[Row]]] = {
            "summaries": partial(read_summaries, clean=self.clean),
            "extraction": read_extraction,
            "blanks": read_blanks,
            "xsum": read_xsum,
            "question_generation": read_question_generation,
            "cmrc": read_cmrc,
            "squad": partial(read_squad, answered_only=answered_only),
        }
        return readers[self.reader](reading)


def available_seq2seq_tasks() -> list[str]:
    """List the names of the tasks."""
    folder = files(__package__) / "tasks"
    return sorted(entry.name.removesuffix(".json") for entry in folder.iterdir() if entry.name.endswith(".json"))


def read_seq2seq_task(name: str) -> Seq2SeqTask:
    """Return a task. Raises a `ValueError` for an unknown name."""
    if name not in available_seq2seq_tasks():
        raise ValueError(
            f"Unknown task {name!r}: there are {available_seq2seq_tasks()}. For data of your own give a pattern."
        )
    data = json.loads((files(__package__) / "tasks" / f"{name}.json").read_text(encoding="utf-8"))
    return Seq2SeqTask(**data)


__all__ = ["Seq2SeqTask", "available_seq2seq_tasks", "read_seq2seq_task"]

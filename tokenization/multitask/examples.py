"""
Encode the examples of tasks as samples of blank infilling, for multi-task training.

A task gives each of its samples a number. A cloze task has every example once under each of its patterns.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..cloze.task import PatternVerbalizer
from ..patterns.encoding import Truncation
from ..pretraining.samples import IGNORED
from ..tokenization_glm import GLMTokenizer

Encoded = dict[str, list[int]]


class TaskExamples(Protocol):
    """Hold the examples of a task, as samples of infilling."""

    @property
    def name(self) -> str:
        """The name of the task."""

    def __len__(self) -> int:
        """Return the number of samples."""

    def encode(self, number: int) -> Encoded:
        """Return one sample: `input_ids` and `labels`, aligned, -100 in Part A."""


@dataclass(frozen=True, kw_only=True)
class ClozeExamples:
    """
    Encode the examples of a cloze task: the context of each under each pattern, with the right answer as target.

    Sample k is example k % n under pattern k // n, for n examples. A label of several words is answered by the first.
    The end of the piece is a target only for tasks with `end_of_piece`, as in the originals.

    Args:
        task: The patterns and words.
        examples: Examples with their labels.
        tokenizer: A `GLMTokenizer`.
        max_length: Most tokens of a sample. Longer contexts lose tokens of the fields marked `|shorten`, then of others.
        truncation: Where they lose them; see `PatternVerbalizer.encode`.

    Raises:
        ValueError: For no examples, and in `encode` for an example without a label or that the task cannot ask.
    """

    task: PatternVerbalizer
    examples: Sequence[Mapping[str, Any]]
    tokenizer: GLMTokenizer
    max_length: int | None = None
    truncation: Truncation = "longest"
    name: str = ""
    _patterns: tuple[PatternVerbalizer, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self):
        if not len(self.examples):
            raise ValueError(f"The task {self.name or self.task.name!r} has no examples to train on.")
        patterns = tuple(self.task.select([number]) for number in range(len(self.task.patterns)))
        object.__setattr__(self, "_patterns", patterns)  # the dataclass is frozen
        object.__setattr__(self, "name", self.name or str(self.task.name))

    def __len__(self) -> int:
        return len(self.examples) * len(self._patterns)

    def encode(self, number: int) -> Encoded:
        """Return sample `number`; see `TaskExamples.encode`."""
        pattern, place = divmod(number, len(self.examples))
        try:
            encoded = self._patterns[pattern].encode(
                self.examples[place], self.tokenizer, self.max_length, self.truncation, cut_fields=True
            )
            if "labels" not in encoded:
                raise ValueError("The example has no label.")
        except ValueError as error:
            raise ValueError(f"Task {self.name!r}, example {place}, pattern {pattern}: {error}") from error
        answer = encoded["choice_ids"][0][encoded["labels"]][0]
        context = encoded["input_ids"][0]
        return {
            "input_ids": [*context, self.tokenizer.sop_token_id, *answer[:-1]],
            "labels": [IGNORED] * len(context) + list(answer),
        }


@dataclass(frozen=True, kw_only=True)
class Seq2SeqExamples:
    """
    Encode the rows of a task from source to target.

    Args:
        name: The name of the task.
        rows: Rows with source and target.
        encode_row: Return one sample for each reference of a row: `encode_references` of a
            `DataCollatorForInfillingSeq2Seq`. The first reference is the target.

    Raises:
        ValueError: For no rows, and in `encode` for a row that cannot be encoded.
    """

    name: str
    rows: Sequence[Mapping[str, Any]]
    encode_row: Callable[[Mapping[str, Any]], Sequence[Mapping[str, Sequence[int]]]]

    def __post_init__(self):
        if not len(self.rows):
            raise ValueError(f"The task {self.name!r} has no rows to train on.")

    def __len__(self) -> int:
        return len(self.rows)

    def encode(self, number: int) -> Encoded:
        """Return sample `number`; see `TaskExamples.encode`."""
        try:
            sample = self.encode_row(self.rows[number])[0]
        except ValueError as error:
            raise ValueError(f"Task {self.name!r}, row {number}: {error}") from error
        return {name: list(sample[name]) for name in ("input_ids", "labels")}


__all__ = ["ClozeExamples", "Encoded", "Seq2SeqExamples", "TaskExamples"]

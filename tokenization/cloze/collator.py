"""Collate examples of cloze tasks into batches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..patterns.encoding import Truncation
from ..patterns.row_errors import name_row, tell
from ..patterns.values import is_missing
from ..tokenization_glm import GLMTokenizer
from .task import PatternVerbalizer

LARGE_INTEGER = int(1e20)  # the library's model_max_length is larger if there is no limit


@dataclass
class DataCollatorForCloze:
    """
    Collate examples of a cloze task into batches for `GLMForMultipleChoice`.

    With several patterns every example is asked in all of them, and the model averages the answers. The tokenizer does
    not change; give `task.attach(tokenizer)` to `Trainer(processing_class=...)` to save the task with the model.

    Args:
        tokenizer: A `GLMTokenizer`.
        task: The patterns and words.
        max_length: Most tokens of a context together with the longest choice behind it. None means the tokenizer's
            `model_max_length`, or no limit if it has none.
        truncation: Where tokens are removed, "longest" or "last"; see `PatternVerbalizer.encode`.
        pad_to_multiple_of: Round the length of the contexts up to a multiple.

    Returns:
        Called with examples (dicts of fields, or what `PatternVerbalizer.encode` returned), int64 tensors: `input_ids`
        and `attention_mask` (batch, seq), `choice_ids` (batch, choices, length), and `labels` (batch,) if the examples
        have them. `choice_ids` are -100 behind the end of a choice and for absent ones. If labels have several words,
        `choice_ids` is (batch, labels, words, length). With several patterns all but the labels have a dimension for
        them behind the first. A batch with labels and absent choices has `finite_logits`, which keeps the label smoothing
        of Trainer finite: see `GLMForMultipleChoice`.

    Raises:
        ValueError: If only some of the examples have labels, and for all that `PatternVerbalizer.encode` refuses. It names
            the example by its number in the batch and by its fields.
    """

    tokenizer: GLMTokenizer
    task: PatternVerbalizer
    max_length: int | None = None
    truncation: Truncation = "longest"
    pad_to_multiple_of: int | None = None

    def __post_init__(self):
        self.task.labels  # noqa: B018  # raises if the patterns do not go together
        if self.max_length is None and self.tokenizer.model_max_length < LARGE_INTEGER:
            self.max_length = self.tokenizer.model_max_length

    def encode(self, examples: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """
        Encode examples once, for many epochs, or to sort them by length before they are collated.

        Args:
            examples: Examples, as the collator takes them.

        Returns:
            For every example what `PatternVerbalizer.encode` returns, and its "length": the tokens of its longest context.

        Raises:
            ValueError: For all that the encoding refuses. It names the example by its number and by its fields.
        """
        encoded = [self._encode(number, example) for number, example in enumerate(examples)]
        return [{**row, "length": max(map(len, row["input_ids"]))} for row in encoded]

    def __call__(self, features: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        encoded = [self._encode(number, feature) for number, feature in enumerate(features)]
        contexts = [context for row in encoded for context in row["input_ids"]]
        padded = self.tokenizer.pad(
            {"input_ids": contexts}, pad_to_multiple_of=self.pad_to_multiple_of, return_tensors="pt"
        )
        batch = {
            "input_ids": padded["input_ids"],
            "attention_mask": padded["attention_mask"],
            "choice_ids": _pad_nested([row["choice_ids"] for row in encoded]),
        }
        is_absent = (batch["choice_ids"] == -100).flatten(3).all(-1)
        # choice_ids (batch, patterns, choices, words, length); the model takes fewer dimensions for one word or pattern.
        if batch["choice_ids"].shape[3] == 1:
            batch["choice_ids"] = batch["choice_ids"].squeeze(3)
        patterns = len(self.task.patterns)
        if patterns == 1:
            batch["choice_ids"] = batch["choice_ids"].squeeze(1)
        else:
            # (batch * patterns, seq) -> (batch, patterns, seq)
            for name in ("input_ids", "attention_mask"):
                batch[name] = batch[name].view(len(encoded), patterns, -1)
        labels: list[Any] = [row.get("labels") for row in encoded]
        missing = [number for number, label in enumerate(labels) if is_missing(label)]
        if not missing:
            batch["labels"] = torch.tensor([int(label) for label in labels])
            # For label smoothing Trainer takes the labels out, and adds up the logits of all choices.
            if is_absent.any():
                batch["finite_logits"] = torch.ones(len(encoded), dtype=torch.bool)
        elif len(missing) < len(encoded):
            raise ValueError(
                f"{len(encoded) - len(missing)} of {len(encoded)} examples have a label "
                f"({self.task.patterns[0].label_field!r}): give all or none. {name_row(missing[0], features[missing[0]])} has "
                "none."
            )
        return batch

    def _encode(self, number: int, feature: Mapping[str, Any]) -> Mapping[str, Any]:
        if "choice_ids" in feature:  # encoded already
            return {name: _as_lists(value) for name, value in feature.items()}
        try:
            return self.task.encode(feature, self.tokenizer, self.max_length, self.truncation)
        except ValueError as error:
            raise tell(number, feature, error, self.task.fields | set(self.task.derived)) from error


def _as_lists(values: Any) -> Any:
    """Turn arrays and tensors, also within lists, into lists, as `datasets` has them with a format."""
    if hasattr(values, "tolist"):
        values = values.tolist()  # of an array of objects: its arrays
    return [_as_lists(value) for value in values] if isinstance(values, list | tuple) else values


def _pad_nested(lists: Sequence[Any]) -> torch.Tensor:
    """Make a tensor of nested lists of different lengths: `[[[1, 2], [3]]] -> [[[1, 2], [3, -100]]]`."""
    shape: list[int] = []
    level: list[Any] = [lists]
    # The longest list of each level gives the size of a dimension: [[1, 2], [3]] -> (2, 2).
    while level and not isinstance(level[0], int):
        shape.append(max(len(entry) for entry in level))
        level = [inner for entry in level for inner in entry]
    padded = torch.full(shape, -100)

    def write(target: torch.Tensor, entry: Any):
        if target.ndim == 1:
            target[: len(entry)] = torch.tensor(entry)
        else:
            for row, inner in zip(target, entry, strict=False):
                write(row, inner)

    write(padded, lists)
    return padded


__all__ = ["DataCollatorForCloze"]

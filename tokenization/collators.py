"""Collators: from tokenized texts to batches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from .cloze import PatternVerbalizer
from .cloze_encoding import Truncation
from .span_corruption import InfillingSample, corrupt_spans, cut_suffix, poisson_lengths, sample_spans
from .tokenization_glm import GLMTokenizer

LARGE_INTEGER = int(1e20)  # from here on the library's model_max_length says that there is no limit


@dataclass
class DataCollatorForBlankInfilling:
    """
    Turns texts into batches of the pretraining objectives (paper sections 2.1 and 2.2): "token" blanks out short spans
    with `[MASK]` and shuffles them, "document" has a long span or the rest of the text written at `[gMASK]` (at
    `[MASK]` where the vocabulary has no `[gMASK]`).

    What is drawn for a text depends on `seed` and on its `sample_id` alone, so a run that is resumed, or that loads its
    data in several workers, gives the same batches. Texts without a `sample_id` are numbered as they come.

    Args:
        tokenizer: Gives the special tokens.
        objectives: Probability of every objective.
        mask_ratio: Share of the tokens that the token objective covers.
        mean_span_length: Mean of the Poisson distribution of its spans.
        min_document_ratio: Shortest target of the document objective, as a share of the text.
        infill_probability: How often the document objective takes its span from anywhere, with an end of piece, rather
            than the rest of the text.
        max_length: Longest text in tokens, with what opens and ends it; longer ones are cut.
        pad_to_multiple_of: Round the length of a batch up to a multiple.
        seed: Any non-negative number.

    Returns, when called with texts `{"input_ids": ids, with or without [CLS] and <eos>, "sample_id": optional number}`:
        int64 tensors `input_ids`, `attention_mask`, `labels` (batch, seq) and `position_ids` (batch, 2, seq); the labels
        are aligned with the inputs, -100 in Part A and in padding.

    Raises:
        ValueError: for an unknown objective, probabilities that do not sum to 1, and a text without tokens.
    """

    tokenizer: GLMTokenizer
    objectives: Mapping[str, float] = field(default_factory=lambda: {"token": 1.0})
    mask_ratio: float = 0.15
    mean_span_length: float = 3.0
    min_document_ratio: float = 0.5
    infill_probability: float = 0.5
    max_length: int = 512
    pad_to_multiple_of: int | None = None
    seed: int = 0

    def __post_init__(self):
        builders = {"token": self._build_token, "document": self._build_document}
        if unknown := set(self.objectives) - set(builders):
            raise ValueError(f"Unknown objectives {sorted(unknown)}: there are {sorted(builders)}.")
        if abs(sum(self.objectives.values()) - 1) > 1e-6:
            raise ValueError(f"The probabilities of the objectives {dict(self.objectives)} must sum to 1.")
        self._builders = [builders[name] for name in self.objectives]
        self._probabilities = np.array(list(self.objectives.values()))
        self._lengths = poisson_lengths(self.mean_span_length)
        self._count = 0

    def __call__(self, features: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        return self._pad([self.corrupt(feature) for feature in features])

    def corrupt(self, feature: Mapping[str, Any]) -> InfillingSample:
        """One text with its blanks: a row of a batch, before padding."""
        text = np.asarray(feature["input_ids"], dtype=np.int64)
        if len(text) and text[0] == self.tokenizer.cls_token_id:
            text = text[1:]
        if len(text) and text[-1] == self.tokenizer.eos_token_id:
            text = text[:-1]
        text = text[: self.max_length - 2]
        if len(text) == 0:
            raise ValueError("A text without tokens cannot be blanked out: leave empty texts out of the data.")
        sample_id = feature.get("sample_id")
        if sample_id is None:
            sample_id, self._count = self._count, self._count + 1
        generator = np.random.default_rng((self.seed, int(sample_id)))
        return self._builders[generator.choice(len(self._builders), p=self._probabilities)](text, generator)

    def _build_token(self, text: np.ndarray, generator: np.random.Generator) -> InfillingSample:
        spans = sample_spans(generator, len(text), self.mask_ratio, self._lengths)
        return self._corrupt_spans(text, spans, generator.permutation(len(spans)), self.tokenizer.mask_token_id)

    def _build_document(self, text: np.ndarray, generator: np.random.Generator) -> InfillingSample:
        shortest = min(max(1, int(np.ceil(self.min_document_ratio * len(text)))), len(text))
        size = int(generator.integers(shortest, max(shortest, len(text) - 1) + 1))
        mask = self.tokenizer.mask_token_id if self.tokenizer.gmask_token_id is None else self.tokenizer.gmask_token_id
        if generator.random() < self.infill_probability:
            start = int(generator.integers(0, len(text) - size + 1))
            return self._corrupt_spans(text, [(start, start + size)], np.array([0]), mask)
        opened = np.concatenate([[self.tokenizer.cls_token_id], text])
        return cut_suffix(opened, len(opened) - size, mask_token_id=mask, sop_token_id=self.tokenizer.sop_token_id)

    def _corrupt_spans(self, text, spans, order, mask_token_id) -> InfillingSample:
        tokens = np.concatenate([[self.tokenizer.cls_token_id], text, [self.tokenizer.eos_token_id]])
        return corrupt_spans(
            tokens,
            [(start + 1, stop + 1) for start, stop in spans],
            order,
            mask_token_id=mask_token_id,
            sop_token_id=self.tokenizer.sop_token_id,
            eop_token_id=self.tokenizer.eop_token_id,
        )

    def _pad(self, samples: list[InfillingSample]) -> dict[str, torch.Tensor]:
        length = max(len(sample.input_ids) for sample in samples)
        if self.pad_to_multiple_of:
            length = -(-length // self.pad_to_multiple_of) * self.pad_to_multiple_of
        shape = (len(samples), length)
        batch = {
            "input_ids": torch.full(shape, self.tokenizer.pad_token_id),
            "attention_mask": torch.zeros(shape, dtype=torch.long),
            "position_ids": torch.zeros((len(samples), 2, length), dtype=torch.long),
            "labels": torch.full(shape, -100),
        }
        for row, sample in enumerate(samples):
            size = len(sample.input_ids)
            batch["attention_mask"][row, :size] = 1
            for name in ("input_ids", "position_ids", "labels"):
                batch[name][row, ..., :size] = torch.from_numpy(getattr(sample, name))
        return batch


@dataclass
class DataCollatorForCloze:
    """
    Examples of a cloze task to batches for `GLMForMultipleChoice`. With several patterns every example is asked in all of
    them, and the model averages the answers.

    The task goes into `tokenizer.cloze` as well, so that whatever saves the tokenizer (Trainer, `push_to_hub`) saves the
    task beside it, in `cloze.json`, where the pipeline finds it.

    Args:
        tokenizer: A [`GLMTokenizer`].
        task: The patterns and words.
        max_length: Longest context in tokens together with the longest choice behind it, as it is fed. None cuts
            nothing (or at the tokenizer's `model_max_length`, where it has one).
        truncation: Where tokens are taken from, "longest" or "last"; see [`PatternVerbalizer.encode`].
        pad_to_multiple_of: Round the length of the contexts up to a multiple.

    Returns, when called with examples (dicts of fields, or what [`PatternVerbalizer.encode`] made of them):
        int64 tensors `input_ids` and `attention_mask` (batch, seq), `choice_ids` (batch, choices, length), -100 behind
        the end of a choice and for absent ones, and `labels` (batch,) if the examples have them. Several words for a
        label make `choice_ids` (batch, labels, words, length); several patterns put a dimension for them behind the
        first of all but the labels.

    Raises:
        ValueError: if only some of the examples have labels, and what [`PatternVerbalizer.encode`] raises, with the number
            of the example in the batch.
    """

    tokenizer: GLMTokenizer
    task: PatternVerbalizer
    max_length: int | None = None
    truncation: Truncation = "longest"
    pad_to_multiple_of: int | None = None

    def __post_init__(self):
        self.task.labels  # noqa: B018  # raises where the patterns do not go together
        self.tokenizer.cloze = self.task.to_dict()
        if self.max_length is None and self.tokenizer.model_max_length < LARGE_INTEGER:
            self.max_length = self.tokenizer.model_max_length

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
        if batch["choice_ids"].shape[3] == 1:
            batch["choice_ids"] = batch["choice_ids"].squeeze(3)
        patterns = len(self.task.patterns)
        if patterns == 1:
            batch["choice_ids"] = batch["choice_ids"].squeeze(1)
        else:
            for name in ("input_ids", "attention_mask"):
                batch[name] = batch[name].view(len(encoded), patterns, -1)
        labelled = sum("labels" in row for row in encoded)
        if labelled not in (0, len(encoded)):
            raise ValueError(
                f"{labelled} of {len(encoded)} examples have a label ({self.task.label_field!r}): give all or none."
            )
        if labelled:
            batch["labels"] = torch.tensor([int(row["labels"]) for row in encoded])
        return batch

    def _encode(self, number: int, feature: Mapping[str, Any]) -> Mapping[str, Any]:
        if "choice_ids" in feature:
            return feature
        try:
            return self.task.encode(feature, self.tokenizer, self.max_length, self.truncation)
        except ValueError as error:
            raise ValueError(f"Example {number} of the batch: {error}") from error


def _pad_nested(lists: Sequence[Any]) -> torch.Tensor:
    """A tensor of nested lists of different lengths, -100 where there is nothing."""
    shape: list[int] = []
    level: list[Any] = [lists]
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

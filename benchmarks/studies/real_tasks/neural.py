"""Fine-tune a GLM to classify: by a cloze question, or by a new head. Both are trained by the same function."""

import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, cast

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PrinterCallback,
    Trainer,
    set_seed,
)

from modeling_glm.cloze.baselines import join_fields
from modeling_glm.cloze.calibration import Calibration
from modeling_glm.cloze.classifier import ClozeClassifier
from modeling_glm.cloze.sources import ClozeData, Examples
from modeling_glm.cloze.training import ClozeModelSettings, ClozeTrainingArguments, build_model
from modeling_glm.runs.lock import hold_run
from modeling_glm.tokenization import DataCollatorForCloze, GLMTokenizer
from modeling_glm.utils.inference import evaluation_mode

from .budgets import Budget

Batch = dict[str, torch.Tensor]
Row = Mapping[str, Any]
Score = Callable[[Examples], np.ndarray]
EVAL_BATCH = 64


@dataclass(frozen=True)
class Network:
    """
    A model with what it needs to be trained and asked.

    Args:
        model: The model.
        encode: Computes the ids of labelled examples: dicts with `input_ids`.
        collate: Makes a batch of what `encode` returned.
        score: Returns log-probabilities of examples, up to a constant per row: (examples, classes).
    """

    model: PreTrainedModel
    encode: Callable[[Examples], list[Row]]
    collate: Callable[[Sequence[Row]], Batch]
    score: Score


def build_cloze(folder: str, data: ClozeData, seed: int, random_weights: bool = False) -> Network:
    """
    Build a model that fills the blank of the task.

    Without training examples its answers are calibrated by texts without content.

    Args:
        folder: Folder or hub id of a GLM.
        data: The task.
        seed: Seed of random weights.
        random_weights: Whether to start from random weights of the same shape.
    """
    model, tokenizer = build_model(ClozeModelSettings(model=folder), data.task, seed, random_weights)
    calibration = Calibration() if data.train else Calibration("contextual")
    classifier = ClozeClassifier(
        model, tokenizer, data.task, calibration=calibration, max_length=data.max_length, batch_size=EVAL_BATCH
    )

    def encode(examples: Examples) -> list[Row]:
        return [data.task.encode(example, tokenizer, data.max_length) for example in examples]

    return Network(model, encode, DataCollatorForCloze(tokenizer, data.task), classifier.calibrated_scores)


def build_head(folder: str, data: ClozeData, seed: int) -> Network:
    """Build a pretrained model with a new classification head, which reads the text without a pattern."""
    set_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    config = AutoConfig.from_pretrained(folder, num_labels=len(data.task.labels))
    # As in `build_model`: SDPA's backward pass is slow on CPUs.
    attention = "sdpa" if torch.cuda.is_available() else "eager"
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, config=config, dtype=torch.float32, attn_implementation=attention
    )
    head = _Head(model, tokenizer, data)
    return Network(model, head.encode, head.collate, head.score)


@dataclass(frozen=True)
class _Head:
    """The batches and scores of a model with a classification head."""

    model: PreTrainedModel
    tokenizer: GLMTokenizer
    data: ClozeData

    def encode(self, examples: Examples) -> list[Row]:
        labels = (self.data.task.label_index(example) for example in examples)
        return [{"input_ids": ids, "labels": label} for ids, label in zip(self._ids(examples), labels, strict=True)]

    def collate(self, rows: Sequence[Row]) -> Batch:
        batch = self._pad([row["input_ids"] for row in rows])
        return {**batch, "labels": torch.tensor([row["labels"] for row in rows])}

    def _ids(self, examples: Examples) -> list[list[int]]:
        texts = list(join_fields(examples, sorted(self.data.task.fields)))
        # Masks in a text are ordinary characters, as they are in a field of a pattern.
        return self.tokenizer(
            texts, truncation=True, max_length=self.data.max_length, split_special_tokens=True, verbose=False
        )["input_ids"]

    def _pad(self, ids: list[list[int]]) -> Batch:
        batch = self.tokenizer.pad({"input_ids": ids}, return_tensors="pt")
        return {name: batch[name].to(self.model.device) for name in ("input_ids", "attention_mask")}

    def score(self, examples: Examples) -> np.ndarray:
        encoded = self._ids(examples)
        scores = np.zeros((len(examples), len(self.data.task.labels)), dtype=np.float32)
        by_length = sorted(range(len(encoded)), key=lambda number: -len(encoded[number]))
        with evaluation_mode(self.model):
            for start in range(0, len(by_length), EVAL_BATCH):
                numbers = by_length[start : start + EVAL_BATCH]
                logits = self.model(**self._pad([encoded[number] for number in numbers])).logits
                scores[numbers] = logits.float().log_softmax(-1).cpu().numpy()
        return scores


class SimilarLengths(Sampler[list[int]]):
    """
    Draw batches of rows of similar length, other ones in each epoch, so that there is little padding.

    Args:
        lengths: The length of each row.
        batch_size: Rows of a batch. The last one may have fewer.
        seed: Seed of the draws.
        window: Number of batches whose rows are sorted together. All rows are shuffled before that, and the batches
            afterwards.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int, window: int = 20):
        self._lengths, self._batch_size, self._window = lengths, batch_size, window
        self._random = Random(seed)

    def __len__(self) -> int:
        return math.ceil(len(self._lengths) / self._batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        numbers = self._random.sample(range(len(self._lengths)), len(self._lengths))
        size = self._batch_size * self._window
        for start in range(0, len(numbers), size):
            together = sorted(numbers[start : start + size], key=self._lengths.__getitem__)
            batches = [together[at : at + self._batch_size] for at in range(0, len(together), self._batch_size)]
            yield from self._random.sample(batches, len(batches))


class _Trainer(Trainer):
    """A `Trainer` whose batches have rows of similar length."""

    def get_train_dataloader(self) -> DataLoader:
        rows = cast(Sequence[Row], self.train_dataset)
        lengths = [len(row["input_ids"][0]) if "choice_ids" in row else len(row["input_ids"]) for row in rows]
        sampler = SimilarLengths(lengths, self.args.train_batch_size, self.args.seed)
        return DataLoader(cast(Any, rows), batch_sampler=sampler, collate_fn=self.data_collator)


def fine_tune(network: Network, examples: Examples, budget: Budget, rate: float, seed: int, bf16: bool, folder: Path):
    """
    Train a network in place, with the optimizer and schedule of `02_cloze_classification.py`.

    Args:
        network: The network.
        examples: Labelled examples.
        budget: Epochs and batch size.
        rate: The peak learning rate.
        seed: Seed of the order of the examples, and of dropout.
        bf16: Whether to compute in bf16.
        folder: A folder for Trainer, deleted at the end.

    Raises:
        FolderInUseError: If another process trains the same cell.
    """
    arguments = ClozeTrainingArguments(
        output_dir=str(folder),
        learning_rate=rate,
        num_train_epochs=budget.epochs,
        per_device_train_batch_size=budget.batch_size,
        seed=seed,
        bf16=bf16,
        use_cpu=not torch.cuda.is_available(),
        eval_strategy="no",
        save_strategy="no",
        logging_strategy="no",
        remove_unused_columns=False,
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    with hold_run(folder):
        rows = network.encode(examples)
        trainer = _Trainer(network.model, arguments, data_collator=network.collate, train_dataset=cast(Any, rows))
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        trainer.accelerator.unwrap_model(network.model, keep_fp32_wrapper=False)  # removes the autocast of training
    shutil.rmtree(folder)


__all__ = ["Network", "build_cloze", "build_head", "fine_tune"]

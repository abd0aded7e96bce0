"""A cloze task and a model as a classifier, with the method names of scikit-learn."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from ..modeling_glm import GLMForMultipleChoice
from ..tokenization import DataCollatorForCloze, GLMTokenizer, PatternVerbalizer
from ..utils.inference import evaluation_mode, is_a, unwrap
from .calibration import (
    CONTENT_FREE,
    Calibration,
    CalibrationMethod,
    ask_instead,
    contextual_bias,
    fit_temperature,
    read_fields,
)

Example = Mapping[str, Any]


class ClozeClassifier:
    """
    Classifies by filling a blank: the label whose words the model expects there is the answer.

    Example:

    ```python
    >>> task = PatternVerbalizer("{text|shorten} It was [MASK].", {"good": "great", "bad": "terrible"})
    >>> classifier = ClozeClassifier(model, tokenizer, task).calibrate("contextual")
    >>> classifier.predict([{"text": "The soup was cold."}, {"text": "What a view!"}])
    ['bad', 'good']
    >>> classifier.fit_temperature(validation_split)
    1.37
    >>> tokenizer.save_pretrained(folder)  # and with it the task and its calibration
    ```

    Args:
        model: A [`GLMForMultipleChoice`], on whatever device; it is used in evaluation mode, whatever mode it is in.
        tokenizer: A [`GLMTokenizer`].
        task: The patterns and words. None takes those that the tokenizer was saved with.
        max_length: Longest context in tokens together with the longest choice behind it; fields marked `|shorten` are
            cut where it is longer. None is what the model's position table and the tokenizer's `model_max_length` allow.
        batch_size: Number of examples of a forward pass. Examples of similar length go together.

    Attributes:
        task: The task.
        calibration: The [`Calibration`], at first that of the task. [`calibrate`] and [`fit_temperature`] keep it with
            the task, setting it here does not.

    Raises:
        ValueError: for a model of another class, no task, and patterns that do not go together.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: GLMTokenizer,
        task: PatternVerbalizer | None = None,
        *,
        max_length: int | None = None,
        batch_size: int = 32,
    ):
        check_model(model)
        if task is None:
            if tokenizer.cloze is None:
                raise ValueError(
                    "The tokenizer was saved without a cloze task: give task=PatternVerbalizer(patterns, verbalizer)."
                )
            task = PatternVerbalizer.from_dict(tokenizer.cloze)
        if batch_size < 1:
            raise ValueError(f"batch_size={batch_size}: expected at least 1.")
        self.model = model
        self.tokenizer = tokenizer
        self.task = task
        self.batch_size = batch_size
        saved = tokenizer.cloze
        self._collate = DataCollatorForCloze(tokenizer, task)
        tokenizer.cloze = saved  # asking is no reason to save the task
        longest = self.model.config.max_position_embeddings
        self.max_length = min(longest, self._collate.max_length or longest) if max_length is None else max_length
        self.calibration = Calibration.from_dict(task.calibration)

    @property
    def calibration(self) -> Calibration:
        return self._calibration

    @calibration.setter
    def calibration(self, calibration: Calibration):
        self._premise = None
        if calibration.method == "pmi":
            self._premise = ask_instead(self.task, str(calibration.domain_premise))
        self._calibration = calibration
        self._per_example = calibration.method is not None and (
            any(pattern.choices is not None for pattern in self.task.patterns)
            or (self._premise is not None and bool(read_fields(self._premise)))
        )
        self._shared_bias: np.ndarray | None = None

    def calibrate(
        self,
        method: CalibrationMethod | None,
        *,
        content_free: tuple[str, ...] = CONTENT_FREE,
        domain_premise: str | None = None,
    ) -> "ClozeClassifier":
        """
        Has all that follows corrected for what the model answers anyway; see [`Calibration`]. The correction is kept
        with the task, and saved with the tokenizer. The temperature goes back to 1: fit it afterwards.

        What is taken away is measured once, at the first use: call this again if the model was trained further. Where
        the choices come from the examples, or the domain premise has fields, it is measured for every example.

        Args:
            method: "contextual", "pmi", or None to undo.
            content_free: For "contextual", texts that stand in for every field.
            domain_premise: For "pmi", a pattern with one blank. There is a space before the blank if, and only if, it is
                so in the patterns of the task: the words must be the same tokens.

        Returns:
            The classifier itself.

        Raises:
            ValueError: for what [`Calibration`] refuses, a domain premise without a blank, and one whose space before
                the blank is not that of the patterns.
        """
        self.calibration = Calibration(method, content_free, domain_premise)
        self._keep_calibration()
        return self

    def fit_temperature(self, examples: Iterable[Example]) -> float:
        """
        Sets and returns the temperature with which the probabilities of labelled examples fit best; it is kept with the
        task. No prediction changes. Raises a `ValueError` for an example without a label.
        """
        listed = _listed(examples)
        temperature = fit_temperature(self.calibrated_scores(listed), self._labels(listed))
        self._calibration = dataclasses.replace(self.calibration, temperature=temperature)
        self._keep_calibration()
        return temperature

    def _keep_calibration(self):
        self.task.calibration = None if self.calibration == Calibration() else self.calibration.to_dict()
        self.tokenizer.cloze = self.task.to_dict()

    def scores(self, examples: Iterable[Example]) -> np.ndarray:
        """
        What the model says, as it is: (examples, classes) fp32, the log-probability of every class, -inf for one that an
        example does not have. Labels of the examples are not read.
        """
        return self._score([self._encode(example, number) for number, example in enumerate(_listed(examples))])

    def calibrated_scores(self, examples: Iterable[Example]) -> np.ndarray:
        """As [`scores`], corrected by the method of the calibration, and not divided by its temperature."""
        return self.score_encoded([self.encode(example, number) for number, example in enumerate(_listed(examples))])

    def predict_proba(self, examples: Iterable[Example]) -> np.ndarray:
        """
        Calibrated probabilities, (examples, classes) float64: rows sum to 1, with 0 for a class that an example does not
        have. Their argmax is the number of the class, as metrics take it.
        """
        return self.to_probabilities(self.calibrated_scores(examples))

    def predict(self, examples: Iterable[Example]) -> list[str]:
        """The label of every example; where these have choices of their own, the text of the chosen one."""
        listed = _listed(examples)
        chosen = self.calibrated_scores(listed).argmax(1)
        return [self.names(example)[number] for example, number in zip(listed, chosen, strict=True)]

    def score(self, examples: Iterable[Example]) -> float:
        """The share of labelled examples that are right. For other metrics see `task_metrics.compute_metrics`."""
        listed = _listed(examples)
        return float((self.calibrated_scores(listed).argmax(1) == self._labels(listed)).mean())

    def to_probabilities(self, calibrated_scores: np.ndarray) -> np.ndarray:
        return (torch.from_numpy(calibrated_scores).double() / self.calibration.temperature).softmax(-1).numpy()

    def names(self, example: Example) -> list[str]:
        """The labels in the order of the classes, or the texts of the example's choices."""
        return self.task.labels or [words[0].strip() for words in self.task.choices(example)]

    def encode(self, example: Example, number: int | None = None) -> dict[str, Any]:
        """
        The ids of an example and, as "references", of what its scores are compared with, where that depends on it.
        `number` is what a `ValueError` calls the example.
        """
        references = self._references(example) if self._per_example else []
        return {
            **self._encode(example, number),
            "references": [self._encode(reference, number, task) for task, reference in references],
        }

    def score_encoded(self, encoded: Sequence[dict[str, Any]], batch_size: int | None = None) -> np.ndarray:
        """The [`calibrated_scores`] of what [`encode`] gave, in batches of another size if one is given."""
        scores = self._score(encoded, batch_size)
        if self.calibration.method is None or not encoded:
            return scores
        if self._per_example:
            rows = [reference for example in encoded for reference in example["references"]]
            tables = self._score(rows, batch_size).reshape(len(encoded), -1, scores.shape[1])
            return (scores + np.stack([self._bias(table) for table in tables])).astype(np.float32)
        if self._shared_bias is None:
            references = self._references(dict.fromkeys(read_fields(self.task), ""))
            self._shared_bias = self._bias(self._score([self._encode(row, None, task) for task, row in references]))
        return (scores + self._shared_bias).astype(np.float32)

    def _references(self, example: Example) -> list[tuple[PatternVerbalizer, Example]]:
        if self._premise is not None:
            return [(self._premise, example)]
        return [(self.task, self.task.content_free(example, text)) for text in self.calibration.content_free]

    def _bias(self, scores: np.ndarray) -> np.ndarray:
        """What to add, (classes,), by the scores (texts, classes) of the references; 0 for absent classes."""
        if self.calibration.method == "contextual":
            return contextual_bias(scores)
        return np.where(np.isneginf(scores[0]), 0.0, -scores[0])

    def _encode(
        self, example: Example, number: int | None, task: PatternVerbalizer | None = None
    ) -> dict[str, list[Any]]:
        task = task or self.task
        # Labels do not matter here, and in test sets they are none of the task's: -1.
        hidden = {pattern.label_field for pattern in task.patterns} - read_fields(task)
        shown = {name: value for name, value in example.items() if name not in hidden}
        try:
            encoded = task.encode(shown, self.tokenizer, self.max_length)
        except ValueError as error:
            if number is None:
                raise
            raise ValueError(f"Example {number}: {error}") from error
        return {"input_ids": encoded["input_ids"], "choice_ids": encoded["choice_ids"]}

    def _score(self, encoded: Sequence[dict[str, Any]], batch_size: int | None = None) -> np.ndarray:
        classes = max((len(row["choice_ids"][0]) for row in encoded), default=len(self.task.labels))
        scores = np.full((len(encoded), classes), -np.inf, dtype=np.float32)
        order = sorted(range(len(encoded)), key=lambda number: _size(encoded[number]), reverse=True)
        batch_size = batch_size or self.batch_size
        with evaluation_mode(self.model):
            for start in range(0, len(order), batch_size):
                numbers = order[start : start + batch_size]
                batch = self._collate([encoded[number] for number in numbers])
                logits = self.model(**{name: tensor.to(self.model.device) for name, tensor in batch.items()}).logits
                scores[numbers, : logits.shape[1]] = logits.float().cpu().numpy()
        return scores

    def _labels(self, examples: list[Example]) -> np.ndarray:
        if not examples:
            raise ValueError("There are no examples: expected some with labels.")
        labels = [self.task.label_index(example) for example in examples]
        if None in labels:
            field = self.task.patterns[0].label_field
            raise ValueError(f"Example {labels.index(None)} has no label ({field!r}): expected one for every example.")
        return np.array(labels)


def check_model(model: Any):
    """Raises a `ValueError` for a model that scores no choices. PEFT's wrappers and code from the hub are fine."""
    if not is_a(model, GLMForMultipleChoice.__name__):
        raise ValueError(
            f"The model is a {type(unwrap(model)).__name__}: expected a GLMForMultipleChoice. It has the weights of a "
            "GLMForConditionalGeneration, so GLMForMultipleChoice.from_pretrained(folder) loads the same folders."
        )


def _listed(examples: Iterable[Example]) -> list[Example]:
    if isinstance(examples, str | Mapping):
        raise ValueError(
            f"examples is one {type(examples).__name__}: expected a list of dicts with the task's fields."
        )
    return list(examples)


def _size(encoded: dict[str, Any]) -> int:
    """Roughly what an example costs: its longest context and all of its choices."""
    choices = (len(word) for words in encoded["choice_ids"][0] for word in words)
    return max(map(len, encoded["input_ids"])) + sum(choices)


__all__ = ["ClozeClassifier"]

"""Classify with a cloze task and a model, with the method names of scikit-learn."""

import dataclasses
import warnings
from collections.abc import Callable, Sequence, Set
from typing import Any, TypeVar

import numpy as np
from transformers import PreTrainedModel

from ..tokenization import GLMTokenizer, PatternVerbalizer
from ..tokenization.cloze.words import WordForms
from ..utils.rows import CheckedRows, OnError, as_row_error, check_rows, read_example, read_rows
from .answers.answering import Answering
from .answers.multi_label import MultiLabel
from .answers.rule import AnswerRule
from .calibration import CONTENT_FREE, Calibration, CalibrationMethod, FoundTemperature, find_temperature
from .references import CalibratedTask, Example, References
from .scorer import ChoiceScorer, Encoded

Good = TypeVar("Good")


class ClozeClassifier(Answering, MultiLabel):
    """
    Classify by filling a blank: the answer is the label whose words the model expects there.

    A word stands for the word behind a space and the word glued to what stands before: the model decides, and the
    probabilities are added. So a pattern means the same with and without a space before its blank. A word that begins with
    a space means only that form.

    Methods take examples in a list, tuple, generator or NumPy array, in a pandas Series or DataFrame, as a dict of columns
    or as a `datasets.Dataset`, and keep their order. An example is a dict of fields; if the task reads one field, the
    value of that field will do. A single example is a list of one. Errors name an example by its number, from 0.

    Example:

    ```python
    >>> task = PatternVerbalizer("{text|shorten} It was [MASK].", {"good": "great", "bad": "terrible"})
    >>> classifier = ClozeClassifier(model, tokenizer, task).calibrate("contextual")
    >>> classifier.predict([{"text": "The soup was cold."}, {"text": "What a view!"}])
    ['bad', 'good']
    >>> classifier.fit_temperature(validation_split)
    1.37
    >>> classifier.fit_threshold(other_split, accuracy=0.95)  # `predict_or_abstain` answers from this probability on
    0.71
    >>> classifier.task.attach(tokenizer).save_pretrained(folder)  # saves the task and its calibration too
    ```

    Args:
        model: A `GLMForMultipleChoice` on any device. It runs in eval mode and then returns to its own mode.
        tokenizer: A `GLMTokenizer`; it does not change.
        task: The patterns and words. None means the task that the tokenizer carries; see `PatternVerbalizer.attach`.
        calibration: How scores become probabilities. None means the calibration that was saved with the task.
        max_length: Most tokens of a context together with the longest choice behind it; fields marked `|shorten` are cut
            to fit. None means all that the model's position table and the tokenizer's `model_max_length` allow.
        batch_size: Number of examples of a forward pass. Examples of similar length go together.
        truncation: Whether fields without `|shorten` may be cut too, once those with it have nothing left. Otherwise an
            example that is too long is an error.

    Raises:
        ValueError: For a model of another class, a missing task, patterns that do not go together, and a domain premise
            without exactly one blank.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: GLMTokenizer,
        task: PatternVerbalizer | None = None,
        *,
        calibration: Calibration | None = None,
        max_length: int | None = None,
        batch_size: int = 32,
        truncation: bool = False,
    ):
        if task is None:
            if tokenizer.cloze is None:
                raise ValueError(
                    "The tokenizer was saved without a cloze task: give task=PatternVerbalizer(patterns, verbalizer)."
                )
            task = PatternVerbalizer.from_dict(tokenizer.cloze)
        self._scorer = ChoiceScorer(
            model, tokenizer, task, max_length=max_length, batch_size=batch_size, truncation=truncation
        )
        if calibration is None:
            calibration = Calibration.from_dict(task.calibration)
        AnswerRule.from_dict(task.answer_rule)  # raises if it cannot be read
        self._calibrated = CalibratedTask.of(task, References.of(calibration, task))
        self._warn_of_dropped_rule(task, stacklevel=3)

    @property
    def model(self) -> PreTrainedModel:
        """The model."""
        return self._scorer.model

    @property
    def tokenizer(self) -> GLMTokenizer:
        """The tokenizer."""
        return self._scorer.tokenizer

    @property
    def task(self) -> PatternVerbalizer:
        """
        The task with the current calibration.

        `calibrate` and `fit_temperature` set a new one; the task that was given does not change. For another task, make
        another classifier.
        """
        return self._calibrated.task

    @property
    def calibration(self) -> Calibration:
        """The current calibration, an immutable value; `calibrate` and `fit_temperature` set another one."""
        return self._calibrated.references.calibration

    @property
    def max_length(self) -> int:
        """Most tokens of a context together with the longest choice behind it."""
        return self._scorer.max_length

    @property
    def batch_size(self) -> int:
        """Number of examples of a forward pass."""
        return self._scorer.batch_size

    def calibrate(
        self,
        method: Calibration | CalibrationMethod | None,
        *,
        content_free: tuple[str, ...] = CONTENT_FREE,
        domain_premise: str | None = None,
    ) -> "ClozeClassifier":
        """
        Correct all further results for answers that do not depend on the text; see `Calibration`.

        The correction is measured once, at its first use: call this again if you train the model further. If choices come
        from the examples, or if the domain premise has fields, it is measured for every example. A method name resets the
        temperature to 1, so fit it afterwards.

        Args:
            method: "contextual", "pmi", None to undo, or a whole `Calibration`.
            content_free: For "contextual", texts that replace every field.
            domain_premise: For "pmi", a pattern with one blank.

        Returns:
            The classifier itself.

        Raises:
            ValueError: For all that `Calibration` refuses, and a domain premise without exactly one blank.
        """
        calibration = method if isinstance(method, Calibration) else Calibration(method, content_free, domain_premise)
        self._recalibrate(References.of(calibration, self.task))
        return self

    def fit_temperature(self, examples: Any) -> float:
        """
        Set and return the temperature for which the probabilities fit labelled examples best.

        No prediction changes. Raises a `RowError` for an example without a label; for labels see `score`.
        """
        found = self.find_temperature(examples)
        if found.problem:
            warnings.warn(found.problem, stacklevel=2)
        self.set_temperature(found.value)
        return found.value

    def find_temperature(self, examples: Any) -> FoundTemperature:
        """Find what `fit_temperature` would set, and say why it may be no good."""
        return find_temperature(*self._score_labelled(examples))

    def set_temperature(self, temperature: float):
        """Divide the corrected scores by a temperature from now on."""
        calibration = dataclasses.replace(self.calibration, temperature=temperature)
        self._recalibrate(dataclasses.replace(self._calibrated.references, calibration=calibration))

    def _recalibrate(self, references: References):
        """Take another calibration. A rule that was fitted for the probabilities before would abstain at random."""
        before = self._calibrated
        self._calibrated = CalibratedTask.of(before.task, references)
        self._warn_of_dropped_rule(before.task, stacklevel=4)

    def _warn_of_dropped_rule(self, before: PatternVerbalizer, stacklevel: int):
        """Warn at the line of the caller, who is `stacklevel` calls away."""
        if before.answer_rule and not self._calibrated.task.answer_rule:
            warnings.warn(
                f"The answer rule {before.answer_rule} was fitted for another calibration, so it is dropped: call "
                "fit_threshold or fit_coverage again, after the temperature.",
                stacklevel=stacklevel,
            )

    @property
    def answer_rule(self) -> AnswerRule:
        """The current rule, an immutable value; `fit_threshold` and `fit_coverage` set another one."""
        return AnswerRule.from_dict(self._calibrated.task.answer_rule)

    def set_answer_rule(self, rule: AnswerRule):
        """Use a rule from now on. It is saved with the task; the task that was given does not change."""
        calibrated = self._calibrated
        self._calibrated = dataclasses.replace(calibrated, task=calibrated.task.with_answer_rule(rule.to_dict()))

    def scores(self, examples: Any) -> np.ndarray:
        """
        Compute the log-probability of every class, without calibration. Labels of the examples are not read.

        Returns:
            (examples, classes) fp32, -inf for a class that an example does not have.
        """
        checked = self._check(examples, lambda example, forms: self._scorer.encode(self.task, example, forms))
        return self._scorer.score(checked.good, len(self.task.labels))

    def calibrated_scores(self, examples: Any) -> np.ndarray:
        """Compute `scores`, corrected by the method of the calibration and not divided by its temperature."""
        return self.score_encoded(self._check(examples, self._encode).good)

    def predict_proba(self, examples: Any, *, on_error: OnError = "raise") -> np.ndarray:
        """
        Compute calibrated probabilities.

        Args:
            examples: The examples.
            on_error: "raise" stops at the first example that cannot be used. "record" gives it a row of NaN; `predict`
                has its error.

        Returns:
            (examples, classes) float64: rows sum to 1, with 0 for a class that an example does not have. Their argmax is
            the number of the class, as metrics take it.
        """
        checked = self._check(examples, self._encode, on_error)
        found = self.to_probabilities(self.score_encoded(checked.good))
        probabilities = np.full((len(checked.good) + len(checked.errors), found.shape[1]), np.nan)
        probabilities[checked.numbers] = found
        return probabilities

    def score(self, examples: Any) -> float:
        """
        Compute the accuracy on labelled examples, all of them answered. `modeling_glm.cloze.metrics` has other metrics.

        Integers of a `datasets.ClassLabel` mean its names, unless the task has `integer_labels`.

        Raises:
            RowError: For an example without a label, or with one that is not one of the task's.
        """
        scores, labels = self._score_labelled(examples)
        return float((scores.argmax(1) == labels).mean())

    def to_probabilities(self, calibrated_scores: np.ndarray) -> np.ndarray:
        """Turn calibrated scores (examples, classes) into float64 probabilities with the temperature."""
        return self.calibration.normalize(calibrated_scores)

    def names(self, example: Example) -> list[str]:
        """Return the labels in the order of the classes, or the texts of the example's choices."""
        return self.task.labels or [words[0].strip() for words in self.task.choices(example)]

    def encode(self, example: Example, number: int | None = None) -> Encoded:
        """
        Compute the ids of an example and, as "references", of the questions that the calibration asks about it.

        Args:
            example: Its fields.
            number: How a `ValueError` calls the example.
        """
        try:
            return self._encode(example, self._scorer.word_forms())
        except ValueError as error:
            if number is None:
                raise
            raise as_row_error(error, number, "Example") from error

    def _encode(self, example: Example, forms: WordForms) -> Encoded:
        references = self._calibrated.references
        questions = references.questions(example) if references.per_example else []
        return {
            **self._scorer.encode(self.task, example, forms),
            "references": [self._scorer.encode(references.task, question, forms) for question in questions],
        }

    def score_encoded(self, encoded: Sequence[Encoded], batch_size: int | None = None) -> np.ndarray:
        """
        Compute the `calibrated_scores` of what `encode` returned.

        Args:
            encoded: The encoded examples.
            batch_size: Another number of examples of a forward pass.
        """
        calibrated = self._calibrated  # one value for the whole call: another thread may set another
        calibration, references = calibrated.references.calibration, calibrated.references
        scores = self._scorer.score(encoded, len(calibrated.task.labels), batch_size)
        if calibration.method is None or not encoded:
            return scores
        if references.per_example:
            rows = [question for example in encoded for question in example["references"]]
            # (examples, questions, classes)
            tables = self._scorer.score(rows, 0, batch_size).reshape(len(encoded), -1, scores.shape[1])
            return (scores + np.stack([calibration.bias(table) for table in tables])).astype(np.float32)
        return (scores + self._measure_bias(calibrated)).astype(np.float32)

    def _measure_bias(self, calibrated: CalibratedTask) -> np.ndarray:
        """
        Return the bias of a calibration that does not depend on the example, asked with empty fields.

        It is a lazy cache: the first use measures the bias, so that no constructor runs the model, and puts a value with it
        in the place of the whole `_calibrated`, unless another thread has set another calibration meanwhile.
        """
        references = calibrated.references
        if references.bias is None:
            questions = references.questions(dict.fromkeys(calibrated.task.fields, ""))
            asked = [self._scorer.encode(references.task, question) for question in questions]
            references = references.measured(self._scorer.score(asked, len(calibrated.task.labels)))
            if self._calibrated is calibrated:
                self._calibrated = dataclasses.replace(calibrated, references=references)
        assert references.bias is not None
        return references.bias

    def _check(
        self,
        examples: Any,
        check: Callable[[Example, WordForms], Good],
        on_error: OnError = "raise",
        added: Set[str] = frozenset(),
    ) -> CheckedRows[Good]:
        """Read examples in the caller's order, with the caller's number in errors. They lack the fields in `added`."""
        rows, fields = read_rows(examples, self.task.text_fields - added), self.task.fields - added
        forms = self._scorer.word_forms()  # only for this call, because the tokenizer may get new tokens
        return check_rows(rows, lambda row: check(read_example(row, fields), forms), kind="Example", on_error=on_error)

    def _score_names(self, examples: Any, on_error: OnError) -> tuple[CheckedRows[list[str]], np.ndarray]:
        def check(example: Example, forms: WordForms) -> tuple[list[str], Encoded]:
            return self.names(example), self._encode(example, forms)

        checked = self._check(examples, check, on_error)
        named = CheckedRows([names for names, _ in checked.good], checked.numbers, checked.errors)
        return named, self.score_encoded([encoded for _, encoded in checked.good])

    def _score_labelled(self, examples: Any) -> tuple[np.ndarray, np.ndarray]:
        pattern = self.task.patterns[0]
        integers = pattern.names_of_integers(examples)

        def check(example: Example, forms: WordForms) -> tuple[Encoded, int]:
            label = self.task.label_index(example, integer_labels=integers)
            if label is None:
                raise ValueError(
                    f"The example has no label ({pattern.label_field!r}): expected one for every example."
                )
            return self._encode(example, forms), label

        listed = self._check(examples, check).good
        if not listed:
            raise ValueError("There are no examples: expected some with labels.")
        return self.score_encoded([encoded for encoded, _ in listed]), np.array([label for _, label in listed])


__all__ = ["ClozeClassifier"]

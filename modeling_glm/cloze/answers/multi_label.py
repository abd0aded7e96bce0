"""Find all labels that apply to an example: a yes/no question for each of them, all in one forward pass."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, KeysView, Mapping, Sequence, Set
from typing import Any, Literal, TypeVar, overload

import numpy as np

from ...tokenization import PatternVerbalizer
from ...tokenization.cloze.words import WordForms
from ...tokenization.patterns.values import texts_of
from ...utils.numbers import check_real_number
from ...utils.rows import CheckedRows, OnError, RowError, read_rows
from ..scorer import Encoded

Good = TypeVar("Good")

CANDIDATE = "candidate"  # the field of a pattern that names the label


class MultiLabel(ABC):
    """
    Ask about several labels independently.

    The task is a yes/no question whose pattern reads the field `candidate`: "{text|shorten} Is it about {candidate}?
    [MASK]." with two labels, the first of which means yes. Each question is a row of the batch, so the answer to one does
    not depend on which others are asked, nor on their order.
    """

    @property
    @abstractmethod
    def task(self) -> PatternVerbalizer:
        """The task with the current calibration."""

    @property
    @abstractmethod
    def batch_size(self) -> int:
        """Number of examples of a forward pass."""

    @abstractmethod
    def score_encoded(self, encoded: Sequence[Encoded], batch_size: int | None = None) -> np.ndarray:
        """Compute the calibrated scores (examples, classes) of encoded examples."""

    @abstractmethod
    def to_probabilities(self, calibrated_scores: np.ndarray) -> np.ndarray:
        """Turn calibrated scores (examples, classes) into float64 probabilities with the temperature."""

    @abstractmethod
    def _encode(self, example: Mapping[str, Any], forms: WordForms) -> Encoded:
        """Compute the ids of an example."""

    @abstractmethod
    def _check(
        self,
        examples: Any,
        check: Callable[[Mapping[str, Any], WordForms], Good],
        on_error: OnError = "raise",
        added: Set[str] = frozenset(),
    ) -> CheckedRows[Good]:
        """Read examples in the caller's order. They lack the fields in `added`."""

    def predict_multi_label_proba(
        self, examples: Any, candidates: str | Sequence[str], *, on_error: OnError = "raise"
    ) -> np.ndarray:
        """
        Compute the calibrated probability that each of several labels applies.

        Args:
            examples: The examples, without the field `candidate`. If the pattern reads one other field, its text will do.
            candidates: The labels to ask about, in a list or between commas.
            on_error: As in `predict_proba`.

        Returns:
            (examples, candidates) float64, each from 0 to 1. Rows need not sum to 1.

        Raises:
            RowError: For an example that cannot be used.
            ValueError: If the task does not ask yes or no about a `candidate`, and for candidates that are missing or
                given twice.
        """
        checked, found = self._ask_candidates(examples, read_candidates(candidates, self.task), on_error)
        probabilities = np.full((len(checked.good) + len(checked.errors), found.shape[1]), np.nan)
        probabilities[checked.numbers] = found
        return probabilities

    @overload
    def predict_multi_label(
        self,
        examples: Any,
        candidates: str | Sequence[str],
        *,
        threshold: float = 0.5,
        on_error: Literal["raise"] = "raise",
    ) -> list[list[str]]: ...

    @overload
    def predict_multi_label(
        self, examples: Any, candidates: str | Sequence[str], *, threshold: float = 0.5, on_error: OnError
    ) -> list[list[str] | RowError]: ...

    def predict_multi_label(
        self, examples: Any, candidates: str | Sequence[str], *, threshold: float = 0.5, on_error: OnError = "raise"
    ) -> list[list[str]] | list[list[str] | RowError]:
        """
        Return the labels that apply to every example, in the order of the candidates.

        Args:
            examples, candidates: As in `predict_multi_label_proba`.
            threshold: The least probability of yes.
            on_error: As in `predict`.

        Raises:
            RowError, ValueError: As `predict_multi_label_proba`, and for a threshold out of range.
        """
        threshold = check_real_number("threshold", threshold, least=0, most=1)
        names = read_candidates(candidates, self.task)
        checked, found = self._ask_candidates(examples, names, on_error)
        rows = (
            [name for name, applies in zip(names, row, strict=True) if applies]
            for row in (found >= threshold).tolist()
        )
        return checked.restore(rows)

    def score_candidates(self, encoded: Sequence[Sequence[Encoded]], candidates: int) -> np.ndarray:
        """
        Compute the probability of yes for encoded questions.

        Args:
            encoded: For every example the encoded questions about its candidates.
            candidates: Their number, the same for all examples.

        Returns:
            (examples, candidates) float64.
        """
        rows = [row for of_example in encoded for row in of_example]
        scores = self.score_encoded(rows, max(self.batch_size, candidates))  # the candidates of an example go together
        return self.to_probabilities(scores)[:, 0].reshape(len(encoded), candidates)

    def _ask_candidates(
        self, examples: Any, candidates: str | Sequence[str], on_error: OnError
    ) -> tuple[CheckedRows[list[Encoded]], np.ndarray]:
        def check(example: Mapping[str, Any], forms: WordForms) -> list[Encoded]:
            return [self._encode({**example, CANDIDATE: candidate}, forms) for candidate in candidates]

        checked = self._check(examples, check, on_error, {CANDIDATE})
        return checked, self.score_candidates(checked.good, len(candidates))


def split_labels(labels: str | Iterable[str], name: str) -> list[str]:
    """
    Return labels as a list. A text has them between commas, as in the pipelines of Transformers; its empty ones do not count.

    Args:
        labels: The labels.
        name: What they are, for error messages.

    Raises:
        ValueError: For labels without an order, such as a set, and for all else that `texts_of` refuses.
    """
    if not isinstance(labels, str):
        is_read_in_order = hasattr(labels, "__next__") or isinstance(labels, KeysView)
        return texts_of(list(labels) if is_read_in_order else labels, name)
    return [label for part in labels.split(",") if (label := part.strip())]


def read_candidates(candidates: str | Sequence[str], task: PatternVerbalizer) -> list[str]:
    """
    Return the candidates as texts, after a check of the task. In one text they stand between commas.

    Raises:
        ValueError: If the task does not ask yes or no about a `candidate`, and for candidates that are missing or given
            twice.
    """
    if CANDIDATE not in task.fields or len(task.labels) != 2:
        raise ValueError(
            f"The task reads the fields {sorted(task.fields)} and has the labels {task.labels}: several labels at once need "
            f"a question about one of them, such as '{{text}} Is it about {{{CANDIDATE}}}? [MASK].', with two labels of "
            "which the first means yes."
        )
    names = split_labels(candidates, "list candidates")
    if not names or len(set(names)) < len(names):
        raise ValueError(f"candidates={names!r}: expected at least one label, and none of them twice.")
    return names


def as_yes_no(
    task: PatternVerbalizer, examples: Any, candidates: str | Sequence[str], field: str = "labels"
) -> list[dict[str, Any]]:
    """
    Turn examples with lists of labels into labelled yes/no questions, to train on or to fit a temperature with.

    Args:
        task: The yes/no question.
        examples: Rows of any form, each a dict with its labels.
        candidates: All labels there are.
        field: The field with the labels of an example, a list.

    Returns:
        One example per example and candidate, in this order: its other fields, `candidate`, and the label of the task.

    Raises:
        ValueError: For all that `read_candidates` refuses, and for an example without its list, or with a label that is
            not one of the candidates.

    Example:

    ```python
    >>> task = PatternVerbalizer("{text} Is it about {candidate}? [MASK].", {"yes": "Yes", "no": "No"})
    >>> as_yes_no(task, [{"text": "Rome won", "labels": ["sports"]}], ["sports", "food"])
    [{'text': 'Rome won', 'candidate': 'sports', 'label': 'yes'}, {'text': 'Rome won', 'candidate': 'food', 'label': 'no'}]
    ```
    """
    names, (yes, no) = read_candidates(candidates, task), task.labels
    rows = []
    for number, example in enumerate(read_rows(examples, task.text_fields - {CANDIDATE})):
        if not isinstance(example, Mapping) or field not in example:
            raise RowError(number, f"The example has no {field!r}: expected a list of labels.", "Example")
        try:
            right = set(texts_of(example[field], f"list {field}"))
        except ValueError as error:
            raise RowError(number, f"{field} is {example[field]!r}: expected a list of labels.", "Example") from error
        if unknown := sorted(right - set(names)):
            raise RowError(number, f"{field} has {unknown}: expected some of the candidates {names}.", "Example")
        rest = {name: value for name, value in example.items() if name != field}
        label = task.patterns[0].label_field
        rows += [{**rest, CANDIDATE: name, label: yes if name in right else no} for name in names]
    return rows


__all__ = ["CANDIDATE", "MultiLabel", "as_yes_no", "read_candidates", "split_labels"]

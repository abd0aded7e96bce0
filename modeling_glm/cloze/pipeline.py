"""Classify by cloze as a pipeline of Transformers: `pipeline("cloze-classification", model=folder)`."""

import dataclasses
import os
from collections.abc import Iterator, Sequence, Sized
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, IterableDataset

from ..tokenization import GLMTokenizer
from ..utils.numbers import check_batch_size, check_whole_number
from ..utils.pipeline import GLMPipeline
from ..utils.rows import InputRows, as_row_error, read_example, read_rows
from .calibration import Calibration
from .classifier import ClozeClassifier
from .scorer import check_model
from .settings import NOT_GIVEN, ClozeSettings

CLOZE_TASK = "cloze-classification"


def _beside_adapter(model: torch.nn.Module) -> GLMTokenizer | None:
    """Load the tokenizer that was saved with the adapter of a model, if there is one: it carries the task."""
    source = getattr(model, "adapter_source", None)
    if source is None:
        return None
    try:
        return GLMTokenizer.from_pretrained(source)
    except OSError:
        return None


@dataclass(frozen=True)
class ClozeRequest:
    """The classifier and the settings of one call."""

    classifier: ClozeClassifier
    settings: ClozeSettings

    @property
    def top_k(self) -> int | None:
        """Number of labels to return, None for all."""
        return self.settings.top_k if isinstance(self.settings.top_k, int) else None


class ClozeClassificationPipeline(GLMPipeline):
    """
    Classify by filling a blank.

    Task, words and calibration are those that the tokenizer carries, or those of the settings. The pipeline reads them
    when it is made. It keeps no results of its calls: a call with another question or calibration measures that
    calibration again, while that of the pipeline is measured once.

    Example:

    ```python
    >>> import modeling_glm
    >>> from transformers import pipeline

    >>> classifier = pipeline("cloze-classification", model=folder)  # saved with a task
    >>> classifier({"premise": "It rained", "hypothesis": "the grass is wet."})
    [{'label': 'entailment', 'score': 0.91}]
    >>> classifier("What a view!", pattern="{text} It was [MASK].", verbalizer={"good": "great", "bad": "poor"})
    [{'label': 'good', 'score': 0.83}]
    >>> classifier("Rome beat Milan", candidate_labels=["sports", "politics"], hypothesis_template="It is about {}.")
    {'sequence': 'Rome beat Milan', 'labels': ['sports', 'politics'], 'scores': [0.88, 0.12]}
    ```

    You can give all settings of a call when you make the pipeline; a call overrides them. `batch_size` examples share a
    forward pass. Folders of a `GLMForConditionalGeneration` work too, because the weights are the same.

    Raises:
        ValueError: For a model that is not a `GLMForMultipleChoice`, a missing tokenizer, and settings that do not go
            together.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        self.settings = ClozeSettings()
        self._own: ClozeRequest | None = None
        super().__init__(*args, **kwargs)
        if self.tokenizer.cloze is None and not self.settings.names_question:
            self.tokenizer = _beside_adapter(self.model) or self.tokenizer
        # Made here, so that errors come early and the calibration is measured once for all calls.
        has_own = self.settings.names_words or (self.tokenizer.cloze is not None and not self.settings.names_question)
        if has_own:
            self._own = self._request(self.settings)

    def _check_model(self):
        check_model(self.model)

    def __call__(  # type: ignore[override]
        self,
        inputs: Any = None,
        candidate_labels: str | Sequence[str] | None = None,
        *,
        sequences: Any = None,
        num_workers: int | None = None,
        batch_size: int | None = None,
        **settings: Any,
    ) -> Any:
        """
        Classify one example or many.

        Args:
            inputs: An example as a dict of fields, or a text if the task has one field; many of them in a list, NumPy
                array, pandas Series or DataFrame, or as a dict of columns; or a generator or `datasets.Dataset`, which is
                read lazily. The answers come in the order of the rows.
            sequences: Another name for `inputs`.
            candidate_labels: A list of labels, or one string with commas; the labels are the words for the blank too.
                Without `pattern`, the question is the field "text", then `hypothesis_template`, which has {} in the place
                of the labels ("This example is {}."). Longer and rarer words are less likely in every text: a calibration
                corrects that.
            pattern: Instead of the task's own: one pattern or several (see `PatternVerbalizer`), with `verbalizer`,
                `candidate_labels` or words of their own; or a whole `PatternVerbalizer`.
            verbalizer: A dict with the word, or the words, of every label.
            calibration: Instead of the task's own: "contextual", "pmi", None for the scores as they are, or a
                `Calibration`.
            domain_premise: For "pmi", a pattern with one blank.
            temperature: Number to divide scores by, instead of the calibration's own.
            top_k: Number of labels to return, None for all; by default the best.
            multi_label: Must be False.
            max_length: Longest input in tokens; by default all that the model can read.
            truncation: Whether fields without `|shorten` may be cut too, if an example is too long.
            on_error: "raise" raises the first example that cannot be used, as a `RowError` with its number. "record"
                gives `{"row": number, "error": reason}` in the place of its answer, and the other examples their answers.
            batch_size, num_workers: As in every pipeline.

        Returns:
            For every example `{"label", "score"}` of the best label, or with `top_k` a list of them, best first; a single
            example always gets a list. With `candidate_labels` and no `pattern` it is `{"sequence", "labels", "scores"}`,
            as from Transformers' zero-shot pipeline. Scores are probabilities that sum to 1 over all labels. Choices of
            an example are named by their texts. For a generator or dataset the result is an iterator.

        Raises:
            ValueError: If there is no task, if pattern and words do not go together, for a text if the task has several
                fields, for an example without a field, without labels, and for `multi_label=True`.
        """
        if (inputs is None) == (sequences is None):
            raise ValueError("Give the examples once: as first argument, or as sequences=.")
        if candidate_labels is not None:
            settings["candidate_labels"] = candidate_labels
        if batch_size is not None:
            batch_size = check_batch_size("batch_size", batch_size)
        if num_workers is not None:
            num_workers = check_whole_number("num_workers", num_workers)
        request = self._request(self.settings.override(settings))
        rows = read_rows(sequences if inputs is None else inputs, request.classifier.task.text_fields)
        numbered = _number(rows)
        if numbered == []:
            return []
        found = super().__call__(numbered, num_workers=num_workers, batch_size=batch_size, request=request)
        return [found] if rows.single and isinstance(found, dict) and not request.settings.zero_shot else found

    def _sanitize_parameters(self, request: ClozeRequest | None = None, **settings: Any):
        if request is None:  # called by __init__
            self.settings = ClozeSettings.read(settings)
            return {}, {}, {}
        return {"request": request}, {"request": request}, {"request": request}

    def preprocess(self, inputs: Any, request: ClozeRequest) -> dict[str, Any]:  # type: ignore[override]
        row = inputs if isinstance(inputs, _NumberedRow) else _NumberedRow(0, inputs)
        try:
            return self._encode(row.value, request)
        except ValueError as error:
            # Raised in _forward: errors of the library's worker processes lose their type.
            return {
                "encoded": None,
                "names": [],
                "sequence": None,
                "error": as_row_error(error, row.number, "Example"),
            }

    def _encode(self, row: Any, request: ClozeRequest) -> dict[str, Any]:
        classifier = request.classifier
        example = read_example(row, classifier.task.fields)
        return {
            "encoded": classifier.encode(example),
            "names": classifier.names(example),
            "sequence": example["text"] if request.settings.zero_shot else None,
            "error": None,
        }

    def _forward(self, inputs: dict[str, Any], request: ClozeRequest) -> dict[str, Any]:  # type: ignore[override]
        # The library collates anything but tensors into a list, and leaves a single example as it is.
        is_batch = isinstance(inputs["encoded"], list)
        encoded, errors = (inputs[name] if is_batch else [inputs[name]] for name in ("encoded", "error"))
        if request.settings.on_error == "raise":
            for error in filter(None, errors):
                raise error
        good = [place for place, example in enumerate(encoded) if example is not None]
        scores = request.classifier.score_encoded([encoded[place] for place in good], batch_size=len(encoded))
        probabilities = np.full((len(encoded), scores.shape[1]), np.nan)
        if good:
            probabilities[good] = request.classifier.to_probabilities(scores)
        kept = {name: inputs[name] for name in ("names", "sequence", "error")}
        return {"probabilities": torch.from_numpy(probabilities), **kept}

    def postprocess(self, outputs: dict[str, Any], request: ClozeRequest) -> Any:  # type: ignore[override]
        if outputs["error"] is not None:
            return outputs["error"].as_dict()
        names = outputs["names"]
        scores, order = outputs["probabilities"][0, : len(names)].sort(descending=True, stable=True)
        labels, scores = [names[index] for index in order[: request.top_k]], scores[: request.top_k].tolist()
        if request.settings.zero_shot:
            return {"sequence": outputs["sequence"], "labels": labels, "scores": scores}
        answers = [{"label": label, "score": score} for label, score in zip(labels, scores, strict=True)]
        return answers[0] if request.settings.top_k is NOT_GIVEN else answers

    def save_pretrained(self, save_directory: str | os.PathLike, **kwargs: Any):
        """
        Save model and tokenizer with the task of the settings, or else with the task that the tokenizer carries.

        The library would also save the code of the pipeline, and loading the folder would then need `trust_remote_code`.
        """
        tokenizer = self.tokenizer
        if self._own is not None and self.settings.names_words:
            tokenizer = self._own.classifier.task.attach(tokenizer)
        self.model.save_pretrained(save_directory, **kwargs)
        tokenizer.save_pretrained(save_directory, **kwargs)

    def _request(self, settings: ClozeSettings) -> ClozeRequest:
        # These two only change the form of the answers.
        own = self.settings
        if self._own and dataclasses.replace(settings, top_k=own.top_k, on_error=own.on_error) == own:
            return ClozeRequest(self._own.classifier, settings)
        task = settings.task(self.tokenizer.cloze)
        calibration = settings.read_calibration(Calibration.from_dict(task.calibration))
        classifier = ClozeClassifier(
            self.model,
            self.tokenizer,
            task,
            calibration=calibration,
            max_length=settings.max_length,
            truncation=settings.truncation,
        )
        return ClozeRequest(classifier, settings)


@dataclass(frozen=True)
class _NumberedRow:
    """A row with the caller's number. The library takes it for one example, never for a chat."""

    number: int
    value: Any


class _ByPlace(Dataset):
    """Rows that have places, for the library's workers."""

    def __init__(self, rows: Any):
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> _NumberedRow:
        return _NumberedRow(place, self.rows[place])


class _Stream(IterableDataset):
    """Rows that are read one by one; some versions of the library would turn a generator into a list."""

    def __init__(self, rows: InputRows):
        self.rows = rows

    def __iter__(self) -> Iterator[_NumberedRow]:
        return (_NumberedRow(number, row) for number, row in enumerate(self.rows))


def _number(rows: InputRows) -> Any:
    """Return the rows in a form that the library takes for one example, a list, or a stream."""
    if not rows.lazy:
        numbered = [_NumberedRow(number, row) for number, row in enumerate(rows)]
        return numbered[0] if rows.single else numbered
    source = rows.source
    has_places = isinstance(source, Sized) and hasattr(source, "__getitem__")
    return _ByPlace(source) if has_places and not isinstance(source, IterableDataset) else _Stream(rows)


__all__ = ["ClozeClassificationPipeline"]

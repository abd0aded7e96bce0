"""Classify by cloze as a pipeline of Transformers: `pipeline("cloze-classification", model=folder)`."""

import dataclasses
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
from .answers.answering import RankedLabel, rank, take_set
from .answers.multi_label import CANDIDATE
from .calibration import Calibration
from .classifier import ClozeClassifier
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
    def candidates(self) -> list[str]:
        """The labels that are asked about one by one; empty if the labels compete for the blank."""
        return self.settings.candidates if self.settings.multi_label else []

    @property
    def missing_fields(self) -> set[str]:
        """The fields of the task that the request gives, not the example."""
        return {CANDIDATE} if self.settings.multi_label else set()

    def select(self, ranked: list[RankedLabel]) -> list[RankedLabel]:
        """Take those of all labels, best first, that the settings ask for."""
        settings = self.settings
        if settings.prediction_sets:
            ranked = take_set(ranked, self.classifier.require_quantile())
        if isinstance(settings.threshold, float):
            ranked = [found for found in ranked if found.probability >= settings.threshold]
        return ranked[: settings.top_k] if isinstance(settings.top_k, int) else ranked

    def answer(self, ranked: list[RankedLabel]) -> dict[str, Any]:
        """Return the best label as an answer, or None in its place if it is not probable enough."""
        threshold = self.settings.threshold
        if threshold is NOT_GIVEN:
            threshold = self.classifier.answer_rule.threshold
        best = ranked[0]
        sure = not isinstance(threshold, float) or best.probability >= threshold
        return {"label": best.label if sure else None, "score": best.probability}


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

    _model_class = "GLMForMultipleChoice"

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
            threshold: The least probability of an answer. The label is None if the best has less, and lists leave out
                labels with less. By default the threshold that was saved with the task, for the best label only; None
                or 0 for no threshold.
            prediction_sets: Whether to return a list of all labels that belong to the prediction set of an example. The
                task must have been saved after `ClozeClassifier.fit_coverage`.
            multi_label: Whether several labels may apply. Each of `candidate_labels` then gets a yes/no question of its
                own, all in one forward pass, and scores do not sum to 1. The pattern must read the field `candidate`:
                `"{text|shorten} Is it about {candidate}? [MASK]."`, with two labels in the verbalizer of which the first
                means yes. By default it is the saved task if it reads that field, or else the question
                `hypothesis_template`, "True or false?".
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
                fields, for an example without a field, without labels, and for prediction sets that were not fitted.
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
        if request.settings.prediction_sets:
            request.classifier.require_quantile()
        text_fields = request.classifier.task.text_fields - request.missing_fields
        rows = read_rows(sequences if inputs is None else inputs, text_fields)
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
        fields = classifier.task.fields - request.missing_fields
        example = read_example(row, fields)
        if request.candidates:
            names = request.candidates
            # In a dict: the library collates examples into a list, and this is one example.
            encoded = {"questions": [classifier.encode({**example, CANDIDATE: name}) for name in names]}
        else:
            names, encoded = classifier.names(example), classifier.encode(example)
        sequence = example[next(iter(fields))] if request.settings.zero_shot and len(fields) == 1 else None
        return {"encoded": encoded, "names": names, "sequence": sequence, "error": None}

    def _forward(self, inputs: dict[str, Any], request: ClozeRequest) -> dict[str, Any]:  # type: ignore[override]
        # The library collates anything but tensors into a list, and leaves a single example as it is.
        is_batch = isinstance(inputs["encoded"], list)
        encoded, errors = (inputs[name] if is_batch else [inputs[name]] for name in ("encoded", "error"))
        if request.settings.on_error == "raise":
            for error in filter(None, errors):
                raise error
        good = [place for place, example in enumerate(encoded) if example is not None]
        asked = [encoded[place] for place in good]
        if request.candidates:
            questions = [example["questions"] for example in asked]
            found = request.classifier.score_candidates(questions, len(request.candidates))
        else:
            scores = request.classifier.score_encoded(asked, batch_size=len(encoded))
            found = request.classifier.to_probabilities(scores)
        probabilities = np.full((len(encoded), found.shape[1]), np.nan)
        probabilities[good] = found
        kept = {name: inputs[name] for name in ("names", "sequence", "error")}
        return {"probabilities": torch.from_numpy(probabilities), **kept}

    def postprocess(self, outputs: dict[str, Any], request: ClozeRequest) -> Any:  # type: ignore[override]
        if outputs["error"] is not None:
            return outputs["error"].as_dict()
        ranked = rank(outputs["names"], outputs["probabilities"][0].numpy())
        settings, chosen = request.settings, request.select(ranked)
        if settings.zero_shot:
            labels, scores = [list(column) for column in zip(*chosen, strict=True)] or ([], [])
            return {"sequence": outputs["sequence"], "labels": labels, "scores": scores}
        if settings.top_k is NOT_GIVEN and not settings.prediction_sets and not settings.multi_label:
            return request.answer(ranked)
        return [{"label": label, "score": score} for label, score in chosen]

    def _tokenizer_to_save(self) -> GLMTokenizer:
        """Return the tokenizer with the task of the settings, or else with the task that it carries."""
        if self._own is not None and self.settings.names_words:
            return self._own.classifier.task.attach(self.tokenizer)
        return self.tokenizer

    def _request(self, settings: ClozeSettings) -> ClozeRequest:
        # These only change the form of the answers.
        own = self.settings
        form = {name: getattr(own, name) for name in ("top_k", "on_error", "threshold", "prediction_sets")}
        if self._own and dataclasses.replace(settings, **form) == own:
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

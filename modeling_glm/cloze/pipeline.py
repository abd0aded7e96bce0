"""Cloze classification as a pipeline of Transformers: `pipeline("cloze-classification", model=folder)`."""

import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import Dataset, IterableDataset, Subset

from ..tokenization import PatternVerbalizer
from ..utils.pipeline import GLMPipeline
from .calibration import Calibration, read_fields
from .classifier import ClozeClassifier, check_model

TASK = "cloze-classification"
# Of each pair one says the same as the other in another way.
RIVALS = (("pattern", "hypothesis_template"), ("verbalizer", "candidate_labels"))
QUESTION = {"pattern", "hypothesis_template", "verbalizer", "candidate_labels", "multi_label"}
SETTINGS = QUESTION | {"calibration", "domain_premise", "temperature", "max_length", "top_k"}


@dataclass(frozen=True)
class ClozeRequest:
    """What a call of the pipeline asks. Without `ranked`, only the best label is wanted."""

    classifier: ClozeClassifier
    zero_shot: bool
    ranked: bool
    top_k: int | None


class ClozeClassificationPipeline(GLMPipeline):
    """
    Classifies by filling a blank. Task, words and calibration are those that the tokenizer was saved with, or what a
    call says.

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

    All settings of a call can be given when the pipeline is made too; those of a call win. `batch_size` examples go
    through the model together. Folders of a [`GLMForConditionalGeneration`] work, for the weights are the same.

    Raises:
        ValueError: for a model that is no [`GLMForMultipleChoice`], and no tokenizer.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        self._last: tuple[Any, ClozeClassifier] | None = None
        super().__init__(*args, **kwargs)
        if _names_words(self._settings):
            self._request(self._settings)  # so that errors come now

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
        Args:
            inputs: An example as a dict of fields, or a text where the task has one field; a list of them; or a
                generator or `datasets.Dataset`, which is read as the answers are taken.
            sequences: Another name for `inputs`.
            candidate_labels: A list of labels, or one string with commas, which are the words for the blank as well.
                Without `pattern`, the question is the field "text" and then `hypothesis_template`, which has {} where
                the labels go ("This example is {}."). Longer and rarer words are less likely whatever the text: a
                calibration takes that away.
            pattern: Instead of the task's own: one pattern or several (see [`PatternVerbalizer`]), with `verbalizer`,
                `candidate_labels` or words of their own; or a whole [`PatternVerbalizer`].
            verbalizer: A dict with the word, or the words, of every label.
            calibration: "contextual", "pmi", or None for the scores as they are, instead of the task's own; or a
                [`Calibration`].
            domain_premise: For "pmi", a pattern with one blank.
            temperature: What scores are divided by, instead of the calibration's own.
            top_k: How many labels to return, None for all; by default the best.
            multi_label: Must be False.
            max_length: Longest input in tokens; by default all that the model can read.
            batch_size, num_workers: As in every pipeline.

        Returns:
            For every example `{"label", "score"}` of the best label, or with `top_k` a list of them, best first; a
            single example always gets a list. With `candidate_labels` and no `pattern` it is, as from Transformers'
            zero-shot pipeline, `{"sequence", "labels", "scores"}`. Scores are probabilities: those of all labels sum
            to 1. Choices of an example are called by their texts. Of a generator or dataset comes an iterator.

        Raises:
            ValueError: for no task, patterns and words that do not go together, a text where the task has several
                fields, an example without a field, no labels, and `multi_label=True`.
        """
        if (inputs is None) == (sequences is None):
            raise ValueError("Give the examples once: as first argument, or as sequences=.")
        if candidate_labels is not None:
            settings["candidate_labels"] = candidate_labels
        request = self._request(_merge(self._settings, settings))
        listed = _listed(sequences if inputs is None else inputs)
        if listed == []:
            return []
        found = super().__call__(listed, num_workers=num_workers, batch_size=batch_size, request=request)
        return [found] if isinstance(found, dict) and not request.zero_shot else found

    def _sanitize_parameters(self, request: ClozeRequest | None = None, **settings: Any):
        if request is None:  # from __init__
            self._settings = _merge({}, settings)
            return {}, {}, {}
        return {"request": request}, {"request": request}, {"request": request}

    def preprocess(self, inputs: Any, request: ClozeRequest) -> dict[str, Any]:  # type: ignore[override]
        classifier = request.classifier
        example = _as_example(inputs, classifier.task)
        return {
            "encoded": classifier.encode(example),
            "names": classifier.names(example),
            "sequence": example["text"] if request.zero_shot else None,
        }

    def _forward(self, inputs: dict[str, Any], request: ClozeRequest) -> dict[str, Any]:  # type: ignore[override]
        # The library collates what is no tensor into a list, and leaves a single example as it is.
        encoded = inputs["encoded"] if isinstance(inputs["encoded"], list) else [inputs["encoded"]]
        scores = request.classifier.score_encoded(encoded, batch_size=len(encoded))
        probabilities = torch.from_numpy(request.classifier.to_probabilities(scores))
        return {"probabilities": probabilities, "names": inputs["names"], "sequence": inputs["sequence"]}

    def postprocess(self, outputs: dict[str, Any], request: ClozeRequest) -> Any:  # type: ignore[override]
        names = outputs["names"]
        scores, order = outputs["probabilities"][0, : len(names)].sort(descending=True, stable=True)
        labels, scores = [names[index] for index in order[: request.top_k]], scores[: request.top_k].tolist()
        if request.zero_shot:
            return {"sequence": outputs["sequence"], "labels": labels, "scores": scores}
        answers = [{"label": label, "score": score} for label, score in zip(labels, scores, strict=True)]
        return answers if request.ranked else answers[0]

    def save_pretrained(self, save_directory: str | os.PathLike, **kwargs: Any):
        """
        Saves model and tokenizer, and with them the task that the pipeline was made with, or else the tokenizer's. What
        the library does besides would have `pipeline` ask for `trust_remote_code` when it loads the folder.
        """
        saved = self.tokenizer.cloze
        if _names_words(self._settings):
            classifier = self._request(self._settings).classifier
            self.tokenizer.cloze = {**classifier.task.to_dict(), "calibration": classifier.calibration.to_dict()}
        try:
            self.model.save_pretrained(save_directory, **kwargs)
            self.tokenizer.save_pretrained(save_directory, **kwargs)
        finally:
            self.tokenizer.cloze = saved

    def _request(self, settings: Mapping[str, Any]) -> ClozeRequest:
        zero_shot = settings.get("candidate_labels") is not None and settings.get("pattern") is None
        task = _read_task(settings, self.tokenizer.cloze)
        calibration = _read_calibration(settings, Calibration.from_dict(task.calibration))
        max_length, top_k = settings.get("max_length"), settings.get("top_k")
        if top_k is not None and (not isinstance(top_k, int) or top_k < 1):
            raise ValueError(f"top_k={top_k!r}: expected a number of labels, or None for all.")
        # Calls that ask the same share what was measured for the calibration.
        asked = (task.to_dict(), calibration, max_length)
        if self._last is None or self._last[0] != asked:
            classifier = ClozeClassifier(self.model, self.tokenizer, task, max_length=max_length)
            classifier.calibration = calibration
            self._last = (asked, classifier)
        return ClozeRequest(self._last[1], zero_shot, "top_k" in settings, top_k)


def _merge(settings: Mapping[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The settings of a call on top of those of the pipeline."""
    if unknown := sorted(set(given) - SETTINGS):
        raise TypeError(f"Unknown arguments {unknown}: the pipeline takes {sorted(SETTINGS)}.")
    if given.pop("multi_label", False):
        raise ValueError(
            "multi_label=True: the labels compete for one blank, so their probabilities sum to 1. Ask for every label "
            "on its own, with a pattern that names it and words such as yes and no."
        )
    merged = dict(settings)
    for pair in RIVALS:
        named = [name for name in pair if given.get(name) is not None]
        if len(named) > 1:
            raise ValueError(f"Give either {pair[0]}= or {pair[1]}=, not both.")
        if named:
            merged = {name: value for name, value in merged.items() if name not in pair}
    return {**merged, **given}


def _names_words(settings: Mapping[str, Any]) -> bool:
    pattern, *words = (settings.get(name) for name in ("pattern", "verbalizer", "candidate_labels"))
    return words != [None, None] or not isinstance(pattern, str | None)


def _read_task(settings: Mapping[str, Any], saved: Mapping[str, Any] | None) -> PatternVerbalizer:
    pattern, template, verbalizer, labels = (settings.get(name) for pair in RIVALS for name in pair)
    if labels is not None:
        verbalizer = {label: label for label in _read_labels(labels)}
    if isinstance(pattern, PatternVerbalizer):
        if verbalizer is not None:
            raise ValueError("pattern= is a task with words of its own: give no other words with it.")
        return pattern
    if pattern is not None:
        if isinstance(pattern, str) and verbalizer is None:
            raise ValueError(f"pattern={pattern!r} has no words: give verbalizer= or candidate_labels= as well.")
        return PatternVerbalizer(pattern, verbalizer)
    if labels is not None:
        return PatternVerbalizer("{text|shorten} " + _read_template(template), verbalizer)
    if verbalizer is not None or template is not None:
        lone, partner = ("verbalizer", "pattern") if template is None else ("hypothesis_template", "candidate_labels")
        raise ValueError(f"{lone}= says nothing without {partner}=: give both.")
    if saved is None:
        raise ValueError("There is no task, the tokenizer has none: give pattern= and words, or candidate_labels=.")
    return PatternVerbalizer.from_dict(saved)


def _read_labels(labels: str | Sequence[str]) -> list[str]:
    split = labels.split(",") if isinstance(labels, str) else map(str, labels)
    read = [label.strip() for label in split if label.strip()]
    if not read:
        raise ValueError(f"candidate_labels={labels!r} is empty: expected at least two labels.")
    if len(set(read)) < len(read):
        raise ValueError(f"candidate_labels={labels!r} has a label twice.")
    return read


def _read_template(template: str | None) -> str:
    template = "This example is {}." if template is None else template  # as in Transformers' zero-shot pipeline
    try:
        filled = template.format("[MASK]")
    except (IndexError, KeyError, ValueError):
        filled = ""
    if filled.count("[MASK]") != 1:
        raise ValueError(f"hypothesis_template={template!r}: expected one {{}}, where the labels go.")
    return filled.replace("{", "{{").replace("}", "}}")


def _read_calibration(settings: Mapping[str, Any], own: Calibration) -> Calibration:
    given, premise = settings.get("calibration", own), settings.get("domain_premise")
    if not isinstance(given, Calibration):
        given = Calibration(given, own.content_free, own.domain_premise if premise is None else premise)
    if premise is not None and given.method != "pmi":
        raise ValueError(f"domain_premise={premise!r} is for calibration='pmi', but it is {given.method!r}.")
    changes = {"domain_premise": premise, "temperature": settings.get("temperature")}
    return dataclasses.replace(given, **{name: value for name, value in changes.items() if value is not None})


class _Stream(IterableDataset):
    """Examples to be read one by one: of a generator the library would make a list in some versions."""

    def __init__(self, examples: Iterable[Any]):
        self.examples = examples

    def __iter__(self) -> Iterator[Any]:
        return iter(self.examples)


def _listed(inputs: Any) -> Any:
    """The inputs in a form that the library takes for one example, a list, or a stream."""
    if isinstance(inputs, str | Mapping | Dataset):
        return inputs
    if isinstance(inputs, Sequence):
        return list(inputs)
    if isinstance(inputs, Sized) and hasattr(inputs, "__getitem__"):  # datasets.Dataset
        return Subset(inputs, range(len(inputs)))  # type: ignore[arg-type]
    if isinstance(inputs, Iterable):
        return _Stream(inputs)
    raise ValueError(f"The input is a {type(inputs).__name__}: expected a text, a dict of fields, or many of them.")


def _as_example(inputs: Any, task: PatternVerbalizer) -> Mapping[str, Any]:
    if isinstance(inputs, Mapping):
        return inputs
    fields = sorted(read_fields(task))
    if not isinstance(inputs, str) or len(fields) != 1:
        raise ValueError(f"The task reads the fields {fields}: give a dict with them in place of {inputs!r}.")
    return {fields[0]: inputs}


__all__ = ["ClozeClassificationPipeline"]

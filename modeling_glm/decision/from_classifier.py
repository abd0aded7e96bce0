"""Make a decision model from a cloze classifier with its task."""

import copy
import re
from typing import Any, cast

from transformers.decision import Question

from ..cloze.classifier import ClozeClassifier
from ..modeling_glm import GLMForDecision, GLMForMultipleChoice
from ..questions_glm import FILTERS, INLINE, OF_QUESTION, OF_STATE, GLMDecisionConfig
from ..tokenization import PatternVerbalizer
from ..tokenization.patterns.syntax import parse
from ..utils.inference import unwrap


def build_decision_model(classifier: ClozeClassifier) -> GLMForDecision:
    """
    Make a decision model that answers with the labels of a cloze classifier, and with its probabilities.

    The state of a request is an example: a dict of its fields, or the text itself if the task has one field. The options of
    a `choice` question are labels of the task, all or some of them. A `noul` question fits labels "true" and "false".

    Example:

    ```python
    >>> decider = build_decision_model(ClozeClassifier(model, tokenizer))
    >>> decider.save_pretrained(folder)
    >>> tokenizer.save_pretrained(folder)
    >>> question = {"type": "choice", "criteria": {"good": None, "bad": None}}
    >>> pipeline("decision", model=folder)({"state": "The soup was cold.", "questions": {"tone": question}})
    ```

    Args:
        classifier: The classifier. Its weights are copied.

    Returns:
        The model. Its decision config has pattern, words, calibration and temperature of the task.

    Raises:
        ValueError: For a task that a decision config cannot express: several patterns, trained prompt tokens, derived
            fields, choices that the examples hold, special tokens beside the blank, and calibration by "pmi". Also for a
            model with an adapter that is not merged.
    """
    if unwrap(classifier.model) is not classifier.model:
        raise ValueError(
            "The classifier has a PEFT adapter: call model.merge_and_unload() first, and give its result."
        )
    _refuse_special_tokens(classifier)
    config = _read_task(classifier.task)
    calibration = classifier.calibration
    if calibration.method == "pmi":
        raise ValueError(
            "The classifier is calibrated by 'pmi', which decision models do not have: calibrate it with 'contextual' or None."
        )
    if calibration.method == "contextual":
        config.content_free = list(calibration.content_free)
    config.temperature = dict.fromkeys(Question.questions_types, calibration.temperature)
    source = cast(GLMForMultipleChoice, classifier.model)
    model: Any = GLMForDecision(copy.deepcopy(source.config))
    model.to(device=source.device, dtype=source.dtype)
    model.load_state_dict(source.state_dict())
    model.decision_config = config
    return model.eval()


def _refuse_special_tokens(classifier: ClozeClassifier) -> None:
    """Raise a `ValueError` for special tokens in a pattern: decision models read them as ordinary characters."""
    special = {token.content for token in classifier.tokenizer.added_tokens_decoder.values() if token.special}
    for pattern in classifier.task.patterns:
        literal = "".join(element for element in parse(pattern.text) if isinstance(element, str))
        if found := sorted(token for token in special if token in literal):
            raise ValueError(
                f"{pattern.text!r} has the special token {found[0]!r}, which a decision config would read as ordinary "
                "characters."
            )


def _read_task(task: PatternVerbalizer) -> GLMDecisionConfig:
    if len(task.patterns) != 1:
        raise ValueError(
            f"The task asks in {len(task.patterns)} ways, a decision model in one: choose one with task.select([0])."
        )
    (pattern,) = task.patterns
    if pattern.verbalizer is None:
        raise ValueError(
            f"The choices of {pattern.text!r} come from its examples: use a plain checkpoint, and ask for them."
        )
    if task.derived:
        raise ValueError(
            f"The task derives the fields {list(task.derived)} from others, which a decision config cannot."
        )
    if pattern.soft_tokens:
        raise ValueError(f"{pattern.text!r} has trained prompt tokens, which a decision config cannot name.")
    # A decision model cuts around the blank, and only with truncation=True.
    text = re.sub(r"\{\s*(\w+)([^{}]*)\}", _rewrite_field, pattern.text)
    words = {label: list(words) for label, words in pattern.verbalizer.items()}
    return GLMDecisionConfig(pattern=text, words=words, separate_fields=True, score_ends=task.end_of_piece)


def _rewrite_field(match: re.Match) -> str:
    """
    Write a field as a decision pattern does: the field of the state, and the filters that change what is read.

        {text|bare|shorten}  ->  {text|bare}          {question}  ->  {state.question}
    """
    name, filters = match[1], [each.strip() for each in match[2].split("|")]
    prefix = OF_STATE if name in ("state", *OF_QUESTION) else ""
    return f"{{{prefix}{name}{''.join(f'|{each}' for each in filters if each in (*FILTERS, INLINE))}}}"


__all__ = ["build_decision_model"]

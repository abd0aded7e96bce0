"""Fit the temperature of every type of question to labelled requests."""

import dataclasses
import warnings
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import numpy as np
from transformers import PreTrainedModel
from transformers.decision import Question

from ..cloze.calibration import find_temperature
from ..decision_glm import GLMDecisionMixin
from ..tokenization import GLMTokenizer
from ..utils.inference import evaluation_mode, require_class
from ..utils.rows import check_rows, read_rows
from .answers import Encoded


class _Labelled(NamedTuple):
    """A request, and the place of the right option of every question that has one."""

    encoded: Encoded
    right: dict[str, int]


def fit_temperatures(model: PreTrainedModel, tokenizer: GLMTokenizer, examples: Any) -> dict[str, float]:
    """
    Find the temperature of every type of question for which the probabilities fit labelled requests best (Guo et al. 2017).

    The model keeps them in `model.decision_config.temperature`, and `save_pretrained` writes them to `decision.json`. No
    answer changes, only its probability. Give requests that the model was not trained on.

    Args:
        model: A `GLMForDecision`.
        tokenizer: The tokenizer of the model.
        examples: Requests in any form of rows, each with "answers" beside "state" and "questions": for the name of a
            question the right option. It is the key of a `choice`, the number of the level of a `score`, and True or
            False for a `noul` question. Questions without an answer do not count.

    Returns:
        The temperature of every type that has answers. The other types keep theirs.

    Raises:
        ValueError: For an example that cannot be asked, or with an answer that is not one of the options, with its
            number. Also for another model.
    """
    require_class(model, "GLMForDecision")
    decider = cast(GLMDecisionMixin, model)
    config = decider.require_config()
    plain = dataclasses.replace(config, temperature={})

    def read(example: Any) -> _Labelled:
        answers = example.get("answers") if isinstance(example, Mapping) else None
        if not isinstance(answers, Mapping) or not answers:
            raise ValueError('The example has no "answers": expected the right option for the name of a question.')
        encoded = plain.encode(example, tokenizer)
        by_name = {question.name: question for question in encoded[1]}
        if unknown := [name for name in answers if name not in by_name]:
            raise ValueError(f"There is an answer to {unknown[0]!r}, but the questions are {list(by_name)}.")
        return _Labelled(encoded, {name: _find_option(by_name[name], answer) for name, answer in answers.items()})

    checked = check_rows(read_rows(examples, ("state", "questions", "answers")), read, kind="Example").good
    scores: dict[str, list[list[float]]] = defaultdict(list)
    labels: dict[str, list[int]] = defaultdict(list)
    with evaluation_mode(model):
        for (rows, questions), right in checked:
            corrected = decider.correct_scores(decider.score_rows(rows), questions, plain)
            for question, of_question in zip(questions, corrected, strict=True):
                if question.name in right:
                    scores[question.type].append(of_question.tolist())
                    labels[question.type].append(right[question.name])
    fitted: dict[str, float] = {}
    for kind, listed in scores.items():
        widest = max(map(len, listed))
        table = np.array([[*row, *[-np.inf] * (widest - len(row))] for row in listed])
        found = find_temperature(table, np.array(labels[kind]))
        if found.problem:
            warnings.warn(f"Questions of the type {kind!r}: {found.problem}", stacklevel=2)
        fitted[kind] = found.value
    temperature: dict[str, float | int] = {**config.temperature, **fitted}
    decider.decision_config = dataclasses.replace(config, temperature=temperature)
    return fitted


def _find_option(question: Question, answer: Any) -> int:
    """Find the place of an answer among the options: `True -> "true"`, `2 -> "2"`."""
    text = str(answer).lower() if isinstance(answer, bool | np.bool_) else str(answer)
    if text not in question.options:
        raise ValueError(
            f"The answer to {question.name!r} is {answer!r}: expected one of the options {question.options[:10]}."
        )
    return question.options.index(text)


__all__ = ["fit_temperatures"]

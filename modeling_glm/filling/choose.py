"""Choose among given answers for the blank of a text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeGuard, cast, overload

import numpy as np
from transformers import PreTrainedModel

from ..cloze.calibration import Calibration
from ..configuration_glm import GLMConfig
from ..tokenization import GLMTokenizer
from ..utils.inference import evaluation_mode, is_a, unwrap
from .results import check_blanks, check_length, with_space
from .scoring import Candidates, ScoringModel, score_candidates

MODEL_CLASSES = ("GLMForMultipleChoice", "GLMForConditionalGeneration")


@dataclass(frozen=True)
class Choice:
    """
    Hold a choice and how likely the model finds it.

    Attributes:
        text: The choice as the caller wrote it.
        probability: Its probability among the choices of its text. They sum to one.
        log_prob: The summed log-probability of its tokens (natural logarithm), without the end of the piece and without
            calibration.
        index: Its place in the caller's list of choices, from 0.
    """

    text: str
    probability: float
    log_prob: float
    index: int


class _Question(NamedTuple):
    """A text that the model reads, as ids, and the tokens of every choice."""

    context: tuple[int, ...]
    pieces: tuple[tuple[int, ...], ...]


@overload
def choose(
    model: PreTrainedModel,
    tokenizer: GLMTokenizer,
    texts: str,
    choices: Sequence[str],
    *,
    calibration: Calibration | None = None,
    batch_size: int = 32,
    progress: bool = False,
) -> list[Choice]: ...


@overload
def choose(
    model: PreTrainedModel,
    tokenizer: GLMTokenizer,
    texts: Sequence[str],
    choices: Sequence[str] | Sequence[Sequence[str]],
    *,
    calibration: Calibration | None = None,
    batch_size: int = 32,
    progress: bool = False,
) -> list[list[Choice]]: ...


def choose(
    model: PreTrainedModel,
    tokenizer: GLMTokenizer,
    texts: str | Sequence[str],
    choices: Sequence[str] | Sequence[Sequence[str]],
    *,
    calibration: Calibration | None = None,
    batch_size: int = 32,
    progress: bool = False,
) -> list[Choice] | list[list[Choice]]:
    """
    Choose among given answers for the blank of a text.

    The score of a choice is the log-probability of its tokens, as in the cloze questions of the paper (section 2.3) and
    in the logits of `GLMForMultipleChoice`. The end of the piece does not count, so a choice is not worse because the
    model would have gone on. `fill_blanks(constraints=BlankConstraint(choices=...))` counts it.

    Example:

    ```python
    >>> choices = choose(model, tokenizer, "Ice is [MASK].", ["cold", "hot", "very loud"])
    >>> choices[0].text, choices[0].probability
    ('cold', 0.93)
    ```

    Args:
        model: A `GLMForMultipleChoice` or `GLMForConditionalGeneration`.
        tokenizer: The tokenizer of the model.
        texts: A text with exactly one blank, or a list of them.
        choices: The choices: one list for all texts, or for a list of texts one list per text. A choice without white
            space in front gets a space where the text has one before the blank.
        calibration: A correction for what the model answers anyway. "contextual" subtracts the scores of the choices
            after the texts in `content_free`, "pmi" the scores after `domain_premise`, a text with one blank. Then
            scores are divided by `temperature`.
        batch_size: The number of rows in a forward pass. It does not change the result.
        progress: Whether to show a progress bar.

    Returns:
        For every text its choices, best first; for a single string one such list. Where the model's config sets
        `choice_length_penalty`, scores are divided by that power of the number of tokens.

    Raises:
        ValueError: If a text does not have exactly one blank, if a text has no choices, if a choice is empty, or if a
            text or a choice is longer than the position table. Also if the model or the calibration cannot be used.
    """
    if not any(is_a(model, name) for name in MODEL_CLASSES):
        raise ValueError(f"The model is a {type(unwrap(model)).__name__}: expected a {' or a '.join(MODEL_CLASSES)}.")
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size}: expected at least 1.")
    scorer = cast(ScoringModel, model)
    listed = [texts] if isinstance(texts, str) else list(texts)
    for number, blanks in enumerate(check_blanks(tokenizer, listed)):
        if blanks != 1:
            raise ValueError(
                f"Text {number} has {blanks} blanks, but the choices are for one: leave one of them in {listed[number]!r}."
            )
    rows = _spread_choices(choices, len(listed), isinstance(texts, str))
    questions = _encode(tokenizer, scorer.config, listed, rows)
    references = [_find_references(tokenizer, question, calibration) for question in questions]
    # Many texts may share a reference, so it is scored once.
    unique = list(dict.fromkeys([*questions, *(reference for of_text in references for reference in of_text)]))
    with evaluation_mode(model):
        scored = score_candidates(
            scorer,
            [
                Candidates(context=question.context, order=[0], pieces=[[piece] for piece in question.pieces])
                for question in unique
            ],
            batch_size,
            score_ends=False,
            progress=progress,
        )
    log_probs = {
        question: np.array([candidate.pieces[0].log_prob for candidate in of_question])
        for question, of_question in zip(unique, scored, strict=True)
    }
    penalty = scorer.config.choice_length_penalty
    ranked = []
    for row, question, of_text in zip(rows, questions, references, strict=True):
        lengths = np.array([len(piece) for piece in question.pieces]) ** penalty
        scores = log_probs[question] / lengths
        compared = [log_probs[reference] / lengths for reference in of_text]
        probabilities = (calibration or Calibration()).probabilities([scores], compared or None)[0]
        ranked.append(_rank(row, probabilities, log_probs[question]))
    return ranked[0] if isinstance(texts, str) else ranked


def _is_flat(choices: Sequence[str] | Sequence[Sequence[str]]) -> TypeGuard[Sequence[str]]:
    return all(isinstance(choice, str) for choice in choices)


def _spread_choices(choices: Sequence[str] | Sequence[Sequence[str]], num_texts: int, single: bool) -> list[list[str]]:
    """Give every text its list of choices."""
    if isinstance(choices, str):
        raise ValueError(f"choices is {choices!r}: expected a list of choices.")
    if not len(choices) and (single or num_texts):
        raise ValueError("choices is empty: expected at least one choice.")
    if _is_flat(choices):
        return [list(choices)] * num_texts
    if single:
        raise ValueError(f"choices is {list(choices)!r}: expected a list of strings, because there is one text.")
    if len(choices) != num_texts:
        raise ValueError(f"choices has {len(choices)} lists, but there are {num_texts} texts.")
    rows = []
    for number, row in enumerate(choices):
        if isinstance(row, str) or not len(row) or not _is_flat(row):
            raise ValueError(f"choices[{number}] is {row!r}: expected a list with at least one string.")
        rows.append(list(row))
    return rows


def _encode(
    tokenizer: GLMTokenizer, config: GLMConfig, texts: Sequence[str], rows: Sequence[Sequence[str]]
) -> list[_Question]:
    if not texts:
        return []
    befores = [tokenizer.split_at_blanks(text)[0] for text in texts]
    spaced = [[with_space(before, choice) for choice in row] for before, row in zip(befores, rows, strict=True)]
    words = list(dict.fromkeys(choice for row in spaced for choice in row))
    encoded = tokenizer(words, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    ids = dict(zip(words, map(tuple, encoded), strict=True))
    questions = []
    for number, (text, row) in enumerate(zip(texts, spaced, strict=True)):
        context = tuple(tokenizer(text)["input_ids"])
        check_length(config, number, text, context)
        for index, choice in enumerate(row):
            if not ids[choice]:
                raise ValueError(f"Choice {index} of text {number} is {choice!r}: a choice needs at least one token.")
            if len(ids[choice]) > config.max_piece_length:
                raise ValueError(
                    f"Choice {index} of text {number} has {len(ids[choice])} tokens, but the position table holds "
                    f"{config.max_piece_length}: shorten {choice[:80]!r}..."
                )
        questions.append(_Question(context, tuple(ids[choice] for choice in row)))
    return questions


def _find_references(tokenizer: GLMTokenizer, question: _Question, calibration: Calibration | None) -> list[_Question]:
    """Ask for the same choices where the text says nothing of them."""
    if calibration is None or calibration.method is None:
        return []
    if calibration.method == "pmi":
        premise = str(calibration.domain_premise)
        if "{" in premise or len(tokenizer.split_at_blanks(premise)) != 2:
            raise ValueError(
                f"domain_premise={premise!r}: expected a text with one blank and without fields, such as "
                "'The topic is [MASK].'."
            )
        return [_Question(tuple(tokenizer(premise)["input_ids"]), question.pieces)]
    # The content-free text stands in place of all text around the blank:
    #     [CLS] Ice is [MASK] . <eos> -> [CLS] N/A [MASK] <eos>
    mask = next(token_id for token_id in question.context if token_id in tokenizer.mask_token_ids)
    bare = list(tokenizer(tokenizer.mask_token)["input_ids"])
    blank = bare.index(tokenizer.mask_token_id)
    bare[blank] = mask
    texts = tokenizer(list(calibration.content_free), add_special_tokens=False, split_special_tokens=True)["input_ids"]
    return [_Question((*bare[:blank], *ids, *bare[blank:]), question.pieces) for ids in texts]


def _rank(choices: Sequence[str], probabilities: np.ndarray, log_probs: np.ndarray) -> list[Choice]:
    ranking = sorted(range(len(choices)), key=lambda index: -probabilities[index])
    return [Choice(choices[index], float(probabilities[index]), float(log_probs[index]), index) for index in ranking]


__all__ = ["Choice", "choose"]

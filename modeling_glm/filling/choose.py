"""Choose among given answers for the blank of a text."""

from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast, overload

import numpy as np
from transformers import PreTrainedModel

from ..cloze.calibration import Calibration
from ..configuration_glm import GLMConfig
from ..tokenization import GLMTokenizer
from ..tokenization.blanks import answer_forms, encode_text, forms_of_answers
from ..tokenization.inputs import check_text
from ..utils.inference import evaluation_mode, require_class
from ..utils.numbers import check_batch_size, check_truth_value, shorten
from ..utils.rows import OnError, check_rows, read_list, read_rows, read_text
from .results import count_blanks, encode_context
from .scoring import Candidates, ScoringModel, score_candidates

Forms = tuple[tuple[int, ...], ...]
MODEL_CLASSES = ("GLMForMultipleChoice", "GLMForConditionalGeneration")


@dataclass(frozen=True)
class Choice:
    """
    Hold a choice and how likely the model finds it.

    Attributes:
        text: The choice as the caller wrote it.
        probability: Its probability among the choices of its text. They sum to one.
        log_prob: The log-probability of its tokens (natural logarithm), without the end of the piece and without
            calibration. Where a choice has two forms, with and without a space in front, it is that of either.
        index: Its place in the caller's list of choices, from 0.
    """

    text: str
    probability: float
    log_prob: float
    index: int

    @property
    def score(self) -> float:
        """The same as `probability`, under the name that the pipelines of Transformers use."""
        return self.probability


class _Question(NamedTuple):
    """A text that the model reads, as ids, and the forms of every choice."""

    context: tuple[int, ...]
    choices: tuple[Forms, ...]


@overload
def choose(
    model: PreTrainedModel,
    tokenizer: GLMTokenizer,
    texts: str,
    choices: Any,
    *,
    calibration: Calibration | None = None,
    truncation: bool = False,
    batch_size: int = 32,
    on_error: Literal["raise"] = "raise",
    progress: bool = False,
) -> list[Choice]: ...


@overload
def choose(
    model: PreTrainedModel,
    tokenizer: GLMTokenizer,
    texts: Any,
    choices: Any,
    *,
    calibration: Calibration | None = None,
    truncation: bool = False,
    batch_size: int = 32,
    on_error: Literal["raise"] = "raise",
    progress: bool = False,
) -> list[list[Choice]]: ...


@overload
def choose(
    model: PreTrainedModel,
    tokenizer: GLMTokenizer,
    texts: Any,
    choices: Any,
    *,
    calibration: Calibration | None = None,
    truncation: bool = False,
    batch_size: int = 32,
    on_error: OnError = "raise",
    progress: bool = False,
) -> Any: ...


def choose(
    model: PreTrainedModel,
    tokenizer: GLMTokenizer,
    texts: Any,
    choices: Any,
    *,
    calibration: Calibration | None = None,
    truncation: bool = False,
    batch_size: int = 32,
    on_error: OnError = "raise",
    progress: bool = False,
) -> Any:
    """
    Choose among given answers for the blank of a text.

    A choice is scored by the log-probability of its tokens, as in the cloze questions of the paper (section 2.3) and
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
        texts: A text with exactly one blank; or many in a list, generator, NumPy array, pandas Series or DataFrame, as a
            dict of columns or as a `datasets.Dataset`. A row may be a dict with the text as "text".
        choices: The choices: one list for all texts, or for many texts one list per text, in any form of rows. The rows of
            a table hold a choice in every column. A choice without white
            space in front means the word behind a space as well as the word glued to what stands before: their
            probabilities are added. One with white space in front is literal.
        calibration: A correction for what the model answers anyway. "contextual" subtracts the scores of the choices
            after the texts in `content_free`, "pmi" the scores after `domain_premise`, a text with one blank. Then
            scores are divided by `temperature`.
        truncation: Whether the model reads only the tokens nearest to the blank of a text that is longer than the position
            table. Without it such a text is an error.
        batch_size: The number of rows in a forward pass. It does not change the result.
        on_error: "raise" raises the first text that cannot be asked, as a `RowError`. "record" puts its `RowError` in the
            place of its choices, and the other texts get theirs.
        progress: Whether to show a progress bar.

    Returns:
        For every text its choices, best first; for a single string one such list. Where the model's config sets
        `choice_length_penalty`, scores are divided by that power of the number of tokens.

    Raises:
        ValueError: If a text does not have exactly one blank, if a text has no choices, if a choice is empty, or if a
            text or a choice is longer than the position table. Also if the model or the calibration cannot be used.
    """
    require_class(model, *MODEL_CLASSES)
    batch_size, truncation = check_batch_size("batch_size", batch_size), check_truth_value("truncation", truncation)
    if calibration is not None and not isinstance(calibration, Calibration):
        raise ValueError(
            f"calibration is {shorten(calibration)}: expected a Calibration, such as Calibration('contextual')."
        )
    scorer = cast(ScoringModel, model)
    rows = read_rows(texts)
    listed = list(rows)
    of_string: dict[str, Forms] = {}

    def forms(choices: Sequence[str]) -> list[Forms]:
        # A `BlankText` equals its string, but has tokens of its own.
        if new := [choice for choice in dict.fromkeys(choices) if type(choice) is str and choice not in of_string]:
            of_string.update(zip(new, map(tuple, forms_of_answers(tokenizer, new)), strict=True))
        return [
            of_string[choice] if type(choice) is str else tuple(answer_forms(tokenizer, choice)) for choice in choices
        ]

    def ask(row: tuple[Any, Any]) -> tuple[list[str], _Question]:
        text, of_text = read_text(row[0]), read_list(row[1], "The list of choices")
        for number, choice in enumerate(of_text):
            check_text(choice, f"Choice {number}")
        return of_text, _ask(tokenizer, scorer.config, text, of_text, forms, truncation)

    of_texts = _spread_choices(choices, len(listed), rows.single)
    checked = check_rows(zip(listed, of_texts, strict=True), ask, kind="Text", on_error=on_error)
    questions = [question for _, question in checked.good]
    references = [_find_references(tokenizer, question, calibration) for question in questions]
    # Many texts may share a reference, so it is scored once.
    unique = list(dict.fromkeys([*questions, *(reference for of_text in references for reference in of_text)]))
    with evaluation_mode(model):
        scored = score_candidates(
            scorer,
            [
                Candidates(
                    context=question.context,
                    order=[0],
                    pieces=[[form] for of_choice in question.choices for form in of_choice],
                )
                for question in unique
            ],
            batch_size,
            score_ends=False,
            progress=progress,
        )
    log_probs = {
        question: [candidate.pieces[0].log_prob for candidate in of_question]
        for question, of_question in zip(unique, scored, strict=True)
    }
    penalty = scorer.config.choice_length_penalty
    ranked = []
    for (row, question), of_text in zip(checked.good, references, strict=True):
        scores = _add_forms(question, log_probs[question], penalty)
        compared = [_add_forms(reference, log_probs[reference], penalty) for reference in of_text]
        probabilities = (calibration or Calibration()).probabilities([scores], compared or None)[0]
        ranked.append(_rank(row, probabilities, _add_forms(question, log_probs[question], 0.0)))
    results = checked.restore(ranked)
    return results[0] if rows.single else results


def _spread_choices(choices: Any, num_texts: int, single: bool) -> list[Any]:
    """Give every text its choices, as the caller wrote them."""
    if choices is None or isinstance(choices, str | bytes | Set):
        raise ValueError(f"choices is {shorten(choices)}: expected a list of choices.")
    rows = read_rows(choices, wide=True)
    listed = list(rows)
    if rows.single:
        raise ValueError(f"choices is {shorten(listed[0])}: expected a list of choices.")
    if not listed and (single or num_texts):
        raise ValueError("choices is empty: expected at least one choice.")
    if all(isinstance(choice, str | bytes) or not isinstance(choice, Iterable) for choice in listed):
        # One list for all texts. It may hold a missing value, such as NaN, which is refused in words.
        return [read_list(listed, "The list of choices") if listed else listed] * num_texts
    if single:
        raise ValueError(f"choices is {shorten(listed)}: expected a list of strings, because there is one text.")
    if len(listed) != num_texts:
        raise ValueError(f"choices has {len(listed)} lists, but there are {num_texts} texts.")
    return listed


def _ask(
    tokenizer: GLMTokenizer,
    config: GLMConfig,
    text: str,
    choices: Sequence[str],
    forms: Callable[[Sequence[str]], list[Forms]],
    truncation: bool,
) -> _Question:
    """Check a text and its choices, and encode them. Raises a `ValueError` for what cannot be asked."""
    blanks = count_blanks(tokenizer, text)
    if blanks != 1:
        raise ValueError(
            f"The text has {blanks} blanks, but the choices are for one: leave one of them in {shorten(text)}."
        )
    context = encode_context(tokenizer, config, text, truncation)
    most = config.max_piece_length
    pieces = []
    for index, (choice, of_choice) in enumerate(zip(choices, forms(choices), strict=True)):
        fitting = tuple(form for form in of_choice if 0 < len(form) <= most)
        if not any(of_choice):
            raise ValueError(f"Choice {index} is {choice!r}: a choice needs at least one token.")
        if not fitting:
            raise ValueError(
                f"Choice {index} has {min(map(len, of_choice))} tokens, but the position table holds {most}: shorten "
                f"{shorten(choice)}."
            )
        pieces.append(fitting)
    return _Question(tuple(context), tuple(pieces))


def _add_forms(question: _Question, log_probs: Sequence[float], penalty: float) -> np.ndarray:
    """Add up the probabilities of the forms of every choice. A penalty divides by the length of a form first."""
    found = iter(log_probs)
    return np.array(
        [np.logaddexp.reduce([next(found) / len(form) ** penalty for form in forms]) for forms in question.choices]
    )


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
        return [_Question(tuple(encode_text(tokenizer, [premise])[0]), question.choices)]
    # The content-free text stands in place of all text around the blank:
    #     [CLS] Ice is [MASK] . <eos> -> [CLS] N/A [MASK] <eos>
    mask = next(token_id for token_id in question.context if token_id in tokenizer.mask_token_ids)
    bare = list(tokenizer(tokenizer.mask_token)["input_ids"])
    blank = bare.index(tokenizer.mask_token_id)
    bare[blank] = mask
    texts = tokenizer(list(calibration.content_free), add_special_tokens=False, split_special_tokens=True)["input_ids"]
    return [_Question((*bare[:blank], *ids, *bare[blank:]), question.choices) for ids in texts]


def _rank(choices: Sequence[str], probabilities: np.ndarray, log_probs: np.ndarray) -> list[Choice]:
    ranking = sorted(range(len(choices)), key=lambda index: -probabilities[index])
    return [Choice(choices[index], float(probabilities[index]), float(log_probs[index]), index) for index in ranking]


__all__ = ["Choice", "choose"]

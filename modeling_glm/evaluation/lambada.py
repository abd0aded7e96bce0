"""Evaluate LAMBADA: predict the last word of a text, bidirectional and unidirectional (paper section 3.3)."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from ..tokenization import GLMTokenizer
from ..utils.numbers import check_truth_value
from ..utils.rows import OnError, RowError, check_rows, read_rows, read_text
from .continuations import ContinuationRow, ScoredContinuation, check_scoring_model, score_continuations
from .partial_results import evaluate_items, keep_results
from .perplexity import exponentiate
from .texts import check_max_length, continuing_mask_id, encode_plain


class LastWord(NamedTuple):
    """
    Hold a text without its last word, and the word.

    Attributes:
        context: The text before the last word, without white space around it.
        answer: The last word with the punctuation that is part of it, behind a space.
    """

    context: str
    answer: str


@dataclass(frozen=True, kw_only=True)
class LambadaAccuracy:
    """
    Hold how often a model predicts the last word.

    Attributes:
        rows: The numbers of the examples in what the caller gave, from 0.
        answers: The right answers.
        log_probs: The log-probability of each answer, without the end of the piece.
        correct: For each answer, whether every token of it is the likeliest one there.
        num_cut: How many texts lost tokens at their start.
        errors: The rows that are no examples, with `on_error="record"`.
    """

    rows: tuple[int, ...]
    answers: tuple[str, ...]
    log_probs: tuple[float, ...]
    correct: tuple[bool, ...]
    num_cut: int = 0
    errors: tuple[RowError, ...] = ()

    @property
    def accuracy(self) -> float:
        """The right answers in percent."""
        return 100 * sum(self.correct) / len(self.correct)

    @property
    def perplexity(self) -> float:
        """The perplexity per answer."""
        return exponentiate(-math.fsum(self.log_probs) / len(self.log_probs))

    def metrics(self) -> dict[str, float]:
        """Return the measures by name."""
        return {"accuracy": self.accuracy, "perplexity": self.perplexity}

    def counts(self) -> dict[str, int]:
        """Return the number of examples, and of those that were cut."""
        return {"num_examples": len(self.answers), "num_cut": self.num_cut}

    def details(self) -> list[dict[str, Any]]:
        """Return a dict for every example."""
        names = ("row", "answer", "log_prob", "correct")
        columns = zip(self.rows, self.answers, self.log_probs, self.correct, strict=True)
        return [dict(zip(names, values, strict=True)) for values in columns]


def split_last_word(text: str) -> LastWord:
    """
    Split a text before its last word, what stands behind the last white space.

    Raises:
        ValueError: For a text without a word.
    """
    stripped = text.strip()
    if not stripped:
        raise ValueError("The text has no word: expected a text whose last word is predicted.")
    word = stripped.split()[-1]
    return LastWord(stripped[: len(stripped) - len(word)].strip(), f" {word}")


def lay_out_last_word(
    context: Sequence[int],
    answer: Sequence[int],
    special_ids: Mapping[str, int],
    mask_token_id: int,
    *,
    max_length: int,
    unidirectional: bool = False,
) -> ContinuationRow:
    """
    Lay out an example.

        bidirectional   [CLS] context [MASK] <eos> <sop> answer
        unidirectional  [CLS] w1 [MASK] <eos> <sop> w2 w3 ... answer     scores the answer alone

    A text that is too long loses its start. The originals raise an AssertionError if they read such a text unidirectionally.

    Args:
        context: The ids of the text before the answer.
        answer: The ids of the answer.
        special_ids: `tokenizer.special_token_ids`.
        mask_token_id: The id of the mask that is filled.
        max_length: The most tokens of a row: the last token of the answer is only predicted and not counted.
        unidirectional: Whether only the first token is read in both directions.

    Raises:
        ValueError: If the answer alone is too long.
    """
    room = max_length - 3 - len(answer)
    if room < 0:
        raise ValueError(
            f"The text has a last word of {len(answer)} tokens, but max_length={max_length} holds {max_length - 3}."
        )
    kept = list(context[max(0, len(context) - room) :])
    begin = [special_ids["cls_token_id"]]
    end = [mask_token_id, special_ids["eos_token_id"]]
    if not unidirectional:
        return ContinuationRow([*begin, *kept, *end], [list(answer)])
    first, rest = kept[:1], kept[1:]
    return ContinuationRow([*begin, *first, *end], [[*rest, *answer]], skip=len(rest))


def evaluate_lambada(
    model: Any,
    tokenizer: GLMTokenizer,
    texts: Any,
    *,
    unidirectional: bool = False,
    max_length: int | None = None,
    batch_size: int = 32,
    on_error: OnError = "raise",
    progress: bool = False,
    partial_file: str | os.PathLike | None = None,
) -> LambadaAccuracy:
    """
    Evaluate how often a model predicts the last word of texts.

    An answer is right if every token of it is the likeliest one behind the right tokens before. Its end is not predicted.

    Example:

    ```python
    >>> evaluate_lambada(model, tokenizer, ["She took the key and opened the door"]).accuracy
    100.0
    ```

    Args:
        model: A `GLMForConditionalGeneration`, or a PEFT wrapper around one.
        tokenizer: Its tokenizer.
        texts: The texts with their last words, in any form of rows. A dict has its text as "text".
        unidirectional: Whether the model reads from left to right only.
        max_length: The most tokens of a row. A longer text loses its start. By default as many as the position table holds;
            the paper has 512.
        batch_size: The number of texts in a forward pass.
        on_error: "raise" to raise the error of the first bad row, "record" to leave bad rows out and keep their errors.
        progress: Whether to show a progress bar.
        partial_file: A file that keeps the results so far. Make the same call again to resume an interrupted one.

    Raises:
        RowError: For the first row without a word, or whose last word alone is longer than `max_length`.
        ValueError: If `max_length` is longer than the position table, and if there is no text.
    """
    check_scoring_model(model)
    max_length = check_max_length(max_length, model.config)
    unidirectional = check_truth_value("unidirectional", unidirectional)
    special_ids, mask = tokenizer.special_token_ids, continuing_mask_id(tokenizer)

    def read_example(row: Any) -> tuple[LastWord, ContinuationRow, bool]:
        example = split_last_word(read_text(row))
        context, answer = encode_plain(tokenizer, example)
        laid_out = lay_out_last_word(
            context, answer, special_ids, mask, max_length=max_length, unidirectional=unidirectional
        )
        return example, laid_out, len(context) > max_length - 3 - len(answer)

    checked = check_rows(read_rows(texts), read_example, kind="Text", on_error=on_error)
    if not checked.good:
        raise ValueError("There are no texts: expected at least one, with a last word to predict.")
    examples, rows, cut = zip(*checked.good, strict=True)
    kept = keep_results(
        partial_file,
        "lambada",
        model=model,
        texts=("\0".join(example) for example in examples),
        settings={"unidirectional": unidirectional, "max_length": max_length},
    )
    results = evaluate_items(
        model,
        rows,
        partial(_score_answers, model),
        length=lambda row: len(row.context) + len(row.continuations[0]),
        batch_size=batch_size,
        title="lambada",
        progress=progress,
        partial=kept,
    )
    return LambadaAccuracy(
        rows=tuple(checked.numbers),
        answers=tuple(example.answer.strip() for example in examples),
        log_probs=tuple(log_prob for log_prob, _ in results),
        correct=tuple(bool(right) for _, right in results),
        num_cut=sum(cut),
        errors=tuple(checked.errors.values()),
    )


def _score_answers(model: Any, rows: Sequence[ContinuationRow]) -> list[tuple[float, bool]]:
    """Return for every answer its log-probability, and whether the model would write it greedily."""
    scored: list[ScoredContinuation] = [one for (one,) in score_continuations(model, rows, batch_size=len(rows))]
    return [(one.log_prob, one.all_greedy) for one in scored]


__all__ = ["LambadaAccuracy", "LastWord", "evaluate_lambada", "lay_out_last_word", "split_last_word"]

"""Evaluate infilling: hide random words of texts, let the model fill them, and compare (paper section 3.3, text infilling)."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple

from ..configuration_glm import GLMConfig
from ..filling.fill import Filler
from ..filling.jobs import FillingSettings
from ..filling.results import ScoredCandidate, encode_context
from ..filling.scoring import Candidates, score_candidates
from ..seq2seq.metrics import compute_bleu, find_metric
from ..tokenization import GLMTokenizer
from ..tokenization.blanks import shown_form
from ..tokenization.seq2seq.word_blanks import blank_words
from ..utils.numbers import check_batch_size, check_real_number, check_truth_value, check_whole_number, shorten
from ..utils.rows import OnError, RowError, check_rows, read_rows, read_text
from .continuations import check_scoring_model
from .partial_results import evaluate_items, keep_results
from .perplexity import exponentiate

# The shares of words that the paper hides.
RATIOS = (0.1, 0.2, 0.3, 0.4, 0.5)


class _BlankedText(NamedTuple):
    """Hold a text with blanks, the words they hide, and the ids of both."""

    row: int
    ratio: float
    text: str
    blanked: str
    answers: list[str]
    candidates: Candidates


@dataclass(frozen=True, kw_only=True)
class FilledText:
    """
    Hold a text with hidden words, and the words that the model filled in.

    Attributes:
        row: The number of the text in what the caller gave, from 0.
        ratio: The share of words that was hidden.
        text: The text as it was, with single spaces.
        blanked: The text with its blanks.
        filled: The text as the model filled it.
        answers: The words that were hidden, for every blank.
        predictions: What the model wrote, for every blank.
        log_prob: The log-probability of the hidden words of all blanks, with their ends, from left to right.
        num_scored: The number of their tokens and ends.
    """

    row: int
    ratio: float
    text: str
    blanked: str
    filled: str
    answers: tuple[str, ...]
    predictions: tuple[str, ...]
    log_prob: float
    num_scored: int


@dataclass(frozen=True, kw_only=True)
class InfillingQuality:
    """
    Hold how well a model fills random words.

    Attributes:
        ratios: The shares of words that were hidden.
        filled: All filled texts, ratio by ratio.
        num_texts: The number of texts. At a low ratio, a short text has no blank and is left out.
        ignores_case: Whether texts are compared in lower case, because the vocabulary has no capitals.
        errors: The rows that are no texts, with `on_error="record"`.
    """

    ratios: tuple[float, ...]
    filled: tuple[FilledText, ...]
    num_texts: int
    ignores_case: bool = False
    errors: tuple[RowError, ...] = ()

    def of_ratio(self, ratio: float) -> list[FilledText]:
        """Return the filled texts of a ratio."""
        return [one for one in self.filled if one.ratio == ratio]

    def bleu(self, ratio: float) -> float:
        """Compute BLEU of the filled texts against the texts as they were, in percent."""
        rows = self.of_ratio(ratio)
        return compute_bleu([self._fold(one.filled) for one in rows], [self._fold(one.text) for one in rows])["bleu"]

    def exact_match(self, ratio: float) -> float:
        """Compute how many blanks have exactly the words that were hidden, in percent."""
        pairs = [pair for one in self.of_ratio(ratio) for pair in zip(one.answers, one.predictions, strict=True)]
        return (
            100 * sum(self._fold(answer).split() == self._fold(found).split() for answer, found in pairs) / len(pairs)
        )

    def answer_perplexity(self, ratio: float) -> float:
        """Compute the perplexity of the hidden words per token. The end of a blank counts as a token."""
        rows = self.of_ratio(ratio)
        return exponentiate(-math.fsum(one.log_prob for one in rows) / sum(one.num_scored for one in rows))

    def log_prob(self, ratio: float) -> float:
        """Compute the mean log-probability of the hidden words of a text."""
        rows = self.of_ratio(ratio)
        return math.fsum(one.log_prob for one in rows) / len(rows)

    def metrics(self) -> dict[str, Any]:
        """Return the measures by ratio and name. A ratio at which no text has a blank has None."""
        names = ("bleu", "exact_match", "answer_perplexity", "log_prob")
        return {
            f"{ratio:g}": {name: getattr(self, name)(ratio) for name in names} if self.of_ratio(ratio) else None
            for ratio in self.ratios
        }

    def counts(self) -> dict[str, Any]:
        """Return the number of texts, and for every ratio the number of those with blanks, and of blanks."""
        of_ratios = {f"{ratio:g}": self.of_ratio(ratio) for ratio in self.ratios}
        return {
            "num_texts": self.num_texts,
            "num_filled": {ratio: len(rows) for ratio, rows in of_ratios.items()},
            "num_blanks": {ratio: sum(len(one.answers) for one in rows) for ratio, rows in of_ratios.items()},
        }

    def details(self) -> list[dict[str, Any]]:
        """Return a dict for every filled text."""
        return [dict(vars(one)) for one in self.filled]

    def _fold(self, text: str) -> str:
        return text.lower() if self.ignores_case else text


def evaluate_infilling(
    model: Any,
    tokenizer: GLMTokenizer,
    texts: Any,
    *,
    ratios: Sequence[float] = RATIOS,
    seed: int = 0,
    max_new_tokens_per_blank: int | None = None,
    truncation: bool = False,
    batch_size: int = 32,
    on_error: OnError = "raise",
    progress: bool = False,
    partial_file: str | os.PathLike | None = None,
) -> InfillingQuality:
    """
    Hide random words of texts, fill them greedily from left to right, and compare with the hidden words.

    Neighbouring words share a blank. The model is told neither how many words a blank hides, nor how many tokens.

    Example:

    ```python
    >>> result = evaluate_infilling(model, tokenizer, ["Rain fell on the green for nine days."], ratios=[0.3])
    >>> result.bleu(0.3), result.exact_match(0.3)
    ```

    Args:
        model: A `GLMForConditionalGeneration`.
        tokenizer: Its tokenizer.
        texts: Whole texts, in any form of rows. Their white space becomes single spaces.
        ratios: The shares of words to hide, above 0 and at most 1.
        seed: The seed of the draws. The same texts in the same order get the same blanks.
        max_new_tokens_per_blank: The longest answer in tokens: see `fill_blanks`.
        truncation: Whether the model reads only the tokens nearest to the blanks of a text that is longer than the position
            table. Without it such a text is an error.
        batch_size: The number of texts in a forward pass.
        on_error: "raise" to raise the error of the first bad row, "record" to leave bad rows out and keep their errors.
        progress: Whether to show a progress bar.
        partial_file: A file that keeps the results so far. Make the same call again to resume an interrupted one.

    Raises:
        ImportError: Without sacrebleu, before anything is computed.
        RowError: For the first row without words, with a mask in it, or longer than the position table.
        ValueError: For a ratio out of range, and if no text has a word to hide.
    """
    check_scoring_model(model)
    find_metric("bleu")
    ratios = tuple(check_real_number("ratios", ratio, above=0, most=1) for ratio in ratios)
    if not ratios or len(set(ratios)) < len(ratios):
        raise ValueError(f"ratios={list(ratios)}: expected different shares of words, such as 0.1 and 0.5.")
    seed, truncation = check_whole_number("seed", seed), check_truth_value("truncation", truncation)
    settings = FillingSettings(
        max_new_tokens_per_blank=max_new_tokens_per_blank,
        truncation=truncation,
        batch_size=check_batch_size("batch_size", batch_size),
    )
    filler = Filler(model, tokenizer, settings)
    rngs = {ratio: Random(seed) for ratio in ratios}

    def hide(row: Any) -> list[_BlankedText]:
        text = _read_whole_text(tokenizer, row)
        drawn = [(ratio, blank_words(text, ratio, rng, tokenizer.mask_token)) for ratio, rng in rngs.items()]
        return [
            _encode(tokenizer, model.config, truncation, ratio, text, *blanked)
            for ratio, blanked in drawn
            if blanked[1]
        ]

    checked = check_rows(read_rows(texts), hide, kind="Text", on_error=on_error)
    items = [
        item._replace(row=number)
        for ratio in ratios
        for number, of_text in zip(checked.numbers, checked.good, strict=True)
        for item in of_text
        if item.ratio == ratio
    ]
    if not items:
        raise ValueError(
            f"No text has a word to hide: at {max(ratios):g} of the words, a text needs {math.ceil(1 / max(ratios))} words."
        )
    kept = keep_results(
        partial_file,
        "infilling",
        model=model,
        texts=(f"{item.ratio} {item.blanked}\0{item.text}" for item in items),
        settings={"max_new_tokens_per_blank": max_new_tokens_per_blank, "truncation": truncation},
    )

    def compute(batch: list[_BlankedText]) -> list[list[Any]]:
        filled = filler.fill([item.blanked for item in batch])
        scored = score_candidates(model, [item.candidates for item in batch], len(batch))
        return [
            [best.text, list(map(str, (answer.text for answer in best.answers))), *_sum_up(candidate)]
            for (best, *_), (candidate,) in zip(filled, scored, strict=True)
        ]

    results = evaluate_items(
        model,
        items,
        compute,
        length=lambda item: len(item.candidates.context),
        batch_size=settings.batch_size,
        title="infilling",
        progress=progress,
        partial=kept,
    )
    return InfillingQuality(
        ratios=ratios,
        filled=tuple(
            FilledText(
                row=item.row,
                ratio=item.ratio,
                text=item.text,
                blanked=item.blanked,
                filled=filled,
                answers=tuple(item.answers),
                predictions=tuple(predictions),
                log_prob=log_prob,
                num_scored=num_scored,
            )
            for item, (filled, predictions, log_prob, num_scored) in zip(items, results, strict=True)
        ),
        num_texts=len(checked.good),
        ignores_case=_has_no_capitals(tokenizer),
        errors=tuple(checked.errors.values()),
    )


def _read_whole_text(tokenizer: GLMTokenizer, row: Any) -> str:
    """Read a text without blanks, with single spaces between its words."""
    text = " ".join(read_text(row).split())
    if not text:
        raise ValueError("The text has no words: expected a whole text, whose words are hidden.")
    if len(tokenizer.split_at_blanks(text)) > 1:
        raise ValueError(
            f"The text has a blank already: expected a whole text, whose words are hidden: {shorten(text)}."
        )
    return text


def _encode(
    tokenizer: GLMTokenizer,
    config: GLMConfig,
    truncation: bool,
    ratio: float,
    text: str,
    blanked: str,
    answers: list[str],
) -> _BlankedText:
    """Encode a text with blanks, and the answers as the text shows them."""
    parts = tokenizer.split_at_blanks(blanked)
    pieces = [shown_form(tokenizer, before, answer) for before, answer in zip(parts, answers, strict=False)]
    context = encode_context(tokenizer, config, blanked, truncation)
    longest = config.max_piece_length - 1
    if too_long := [answer for answer, piece in zip(answers, pieces, strict=True) if len(piece) > longest]:
        raise ValueError(f"The text hides more than {longest} tokens in a blank: shorten {shorten(too_long[0])}.")
    return _BlankedText(
        0, ratio, text, blanked, answers, Candidates(context=context, order=range(len(pieces)), pieces=[pieces])
    )


def _sum_up(candidate: ScoredCandidate) -> tuple[float, int]:
    """Return the log-probability of all pieces with their ends, and how many tokens that are."""
    log_probs = [log_prob for piece in candidate.pieces for log_prob in piece.log_probs]
    return math.fsum(log_probs), len(log_probs)


def _has_no_capitals(tokenizer: GLMTokenizer) -> bool:
    """Return whether the tokenizer reads capitals as small letters."""
    upper, lower = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("A", "a"))
    return upper == lower


__all__ = ["RATIOS", "FilledText", "InfillingQuality", "evaluate_infilling"]

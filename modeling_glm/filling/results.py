"""Describe filled texts: their answers, where these stand, and how likely the model finds them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..configuration_glm import GLMConfig
from ..tokenization import BlankText, GLMTokenizer
from ..tokenization.blanks import encode_text, place_answers
from ..utils.numbers import shorten


@dataclass(frozen=True, kw_only=True)
class BlankAnswer:
    """
    Hold the answer of one blank.

    Attributes:
        text: The answer, without white space around it. It knows the white space that the model wrote, so that
            `tokenizer.fill` can show it, and its tokens, so that `score_fillings` gives it the same `log_prob`.
        start, end: The place of the answer in the filled text, in characters.
        token_ids: The tokens of the answer, without the end of the piece.
        token_log_probs: The natural logarithm of the probability of every token and, last, of the end of the piece. The
            model reads the text and all that was filled before. Empty for a given answer.
        given: Whether the caller gave the answer, so that the model only read it.
    """

    text: BlankText
    start: int
    end: int
    token_ids: tuple[int, ...] = ()
    token_log_probs: tuple[float, ...] = ()
    given: bool = False

    @property
    def log_prob(self) -> float:
        """The natural logarithm of the probability of the whole answer with its end, 0 for a given answer."""
        return sum(self.token_log_probs)

    @property
    def probability(self) -> float:
        """The probability of the whole answer with its end, 1 for a given answer."""
        return math.exp(self.log_prob)

    @property
    def score(self) -> float:
        """The same as `probability`, under the name that the pipelines of Transformers use."""
        return self.probability

    @property
    def mean_log_prob(self) -> float:
        """The log-probability per token, where the end counts as one. It compares answers of different lengths."""
        return self.log_prob / max(1, len(self.token_log_probs))


@dataclass(frozen=True, kw_only=True)
class Filling:
    """
    Hold a text whose blanks are all filled.

    Attributes:
        text: The filled text.
        answers: The answer of every blank, from left to right.
    """

    text: str
    answers: tuple[BlankAnswer, ...]

    @property
    def log_prob(self) -> float:
        """The joint log-probability of all answers (paper equation 1), under the condition of the given ones."""
        return sum(answer.log_prob for answer in self.answers)

    @property
    def probability(self) -> float:
        """The joint probability of all answers with their ends, under the condition of the given ones."""
        return math.exp(self.log_prob)

    @property
    def score(self) -> float:
        """The same as `probability`, under the name that the pipelines of Transformers use."""
        return self.probability

    @property
    def mean_log_prob(self) -> float:
        """The joint log-probability per token, where the end of every answer counts as one."""
        return self.log_prob / max(1, self.num_scores)

    @property
    def num_scores(self) -> int:
        """The number of scored tokens, with the end of every answer."""
        return sum(len(answer.token_log_probs) for answer in self.answers)


class ScoredPiece(NamedTuple):
    """
    Hold a piece with the log-probabilities that the model gives it.

    Attributes:
        token_ids: The tokens of the piece, without start and end.
        log_probs: The natural logarithm of the probability of every token and, last, of the end of the piece. The last
            one is missing where the end is not scored.
    """

    token_ids: tuple[int, ...]
    log_probs: tuple[float, ...]

    @property
    def log_prob(self) -> float:
        """The log-probability of the whole piece."""
        return sum(self.log_probs)


class ScoredCandidate(NamedTuple):
    """
    Hold the scored pieces of one way to fill a text.

    Attributes:
        order: The blanks, numbered from 0, in the order in which the model fills them.
        pieces: The piece of every blank in that order.
    """

    order: tuple[int, ...]
    pieces: tuple[ScoredPiece, ...]


def build_filling(
    tokenizer: GLMTokenizer, text: str, answers: Sequence[str], pieces: Mapping[int, ScoredPiece]
) -> Filling:
    """
    Build a filling from the answers of all blanks.

    Args:
        tokenizer: The tokenizer of the model.
        text: A text with blanks.
        answers: The answer of every blank: a `BlankText`, or what the caller gave.
        pieces: The scored piece of every blank that the model filled, by the number of the blank. The other answers were
            given.
    """
    filled, offsets, shown = place_answers(tokenizer, text, answers)
    built = []
    for blank, (answer, (start, end)) in enumerate(zip(shown, offsets, strict=True)):
        piece = pieces.get(blank, ScoredPiece((), ()))
        built.append(
            BlankAnswer(
                text=answer,
                start=start,
                end=end,
                token_ids=piece.token_ids,
                token_log_probs=piece.log_probs,
                given=blank not in pieces,
            )
        )
    return Filling(text=filled, answers=tuple(built))


def count_blanks(tokenizer: GLMTokenizer, text: str) -> int:
    """Count the blanks of a text. Raises a `ValueError` for a text without one."""
    count = len(tokenizer.split_at_blanks(text)) - 1
    if count == 0:
        masks = ", ".join(tokenizer.convert_ids_to_tokens(tokenizer.mask_token_ids))
        raise ValueError(
            f"The text has no blank to fill: put one of {masks} where text is wanted, in {shorten(text)}."
        )
    return count


def encode_context(tokenizer: GLMTokenizer, config: GLMConfig, text: str, truncation: bool = False) -> list[int]:
    """
    Encode a text that the model reads.

    Args:
        tokenizer: The tokenizer of the model.
        config: The config of the model.
        text: The text. Only masks are special in it.
        truncation: Whether a text that exceeds the position table is cut around its blanks.

    Raises:
        ValueError: For a text that exceeds the position table, or whose blanks alone do with `truncation`.
    """
    return fit_context(tokenizer, config, text, None, truncation)


def fit_context(
    tokenizer: GLMTokenizer, config: GLMConfig, text: str, context: list[int] | None, truncation: bool
) -> list[int]:
    """
    Check that a text fits the position table, as `encode_context` does.

    Args:
        tokenizer, config, text, truncation: As in `encode_context`.
        context: The ids of the whole text. None encodes it.
    """
    longest = config.max_context_length
    if context is None or (truncation and len(context) > longest):
        (context,) = encode_text(tokenizer, [text], max_length=longest if truncation else None)
    if len(context) > longest:
        raise ValueError(
            f"The text has {len(context)} tokens, but the position table holds {longest}: shorten {shorten(text)}, or "
            "set truncation=True (--truncation) to cut it around its blanks."
        )
    return context

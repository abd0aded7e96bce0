"""What a text with filled blanks is: its answers, where they stand, and how likely the model finds them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..tokenization import GLMTokenizer


@dataclass(frozen=True, kw_only=True)
class BlankAnswer:
    """
    The answer of one blank.

    Attributes:
        text: The answer, without white space around it.
        start, end: Where it stands in the filled text, in characters.
        token_ids: Its tokens, without the end of the piece.
        token_log_probs: Natural logarithms of the probabilities of its tokens, and last that the piece ends behind
            them; each given the text and all that was filled before. Empty for an answer that was given.
        given: Whether the caller set it, so that the model only read it.
    """

    text: str
    start: int
    end: int
    token_ids: tuple[int, ...] = ()
    token_log_probs: tuple[float, ...] = ()
    given: bool = False

    @property
    def log_prob(self) -> float:
        """Log-probability of the whole answer, its end included; 0 for one that was given."""
        return sum(self.token_log_probs)

    @property
    def score(self) -> float:
        """Log-probability per token, the end counted as one: answers of different lengths compare by it."""
        return self.log_prob / max(1, len(self.token_log_probs))


@dataclass(frozen=True, kw_only=True)
class Filling:
    """
    A text whose blanks are all filled.

    Attributes:
        text: The filled text.
        answers: The answer of every blank, from left to right.
    """

    text: str
    answers: tuple[BlankAnswer, ...]

    @property
    def log_prob(self) -> float:
        """Joint log-probability of all answers (paper equation 1), those that were given taken for granted."""
        return sum(answer.log_prob for answer in self.answers)

    @property
    def score(self) -> float:
        """Joint log-probability per token, the end of every answer counted as one."""
        return self.log_prob / max(1, sum(len(answer.token_log_probs) for answer in self.answers))


def with_space(before: str, answer: str) -> str:
    """An answer with the space that it begins with where one ends the text before its blank."""
    return f" {answer}" if answer and before[-1:].isspace() and not answer[:1].isspace() else answer


def encode_answers(
    tokenizer: GLMTokenizer, text: str, answers: Sequence[str], blank: int | None = None
) -> list[list[int]]:
    """
    The tokens of the answers of a text's blanks, or of several answers for one of them. An answer begins with the space
    that stands before its blank, as it does in pretraining, where the mask took the place of both.
    """
    parts = tokenizer.split_at_blanks(text)[:-1]
    before = parts if blank is None else [parts[blank]] * len(answers)
    spaced = [with_space(part, answer) for part, answer in zip(before, answers, strict=True)]
    return tokenizer(spaced, add_special_tokens=False, split_special_tokens=True)["input_ids"]


def build_filling(
    tokenizer: GLMTokenizer,
    text: str,
    answers: Sequence[str],
    pieces: Mapping[int, Sequence[int]],
    scores: Mapping[int, Sequence[float]],
) -> Filling:
    """
    A filling of a text from the answers of its blanks and, by the number of the blank, the tokens and their
    log-probabilities. Blanks without tokens were given.
    """
    filled, offsets = tokenizer.fill_with_offsets(text, answers)
    return Filling(
        text=filled,
        answers=tuple(
            BlankAnswer(
                text=answer,
                start=start,
                end=end,
                token_ids=tuple(pieces.get(blank, ())),
                token_log_probs=tuple(scores.get(blank, ())),
                given=blank not in pieces,
            )
            for blank, (answer, (start, end)) in enumerate(zip(answers, offsets, strict=True))
        ),
    )


def check_blanks(tokenizer: GLMTokenizer, texts: Sequence[str]) -> list[int]:
    """How many blanks each text has. Raises a ValueError for a text without one."""
    counts = [len(tokenizer.split_at_blanks(text)) - 1 for text in texts]
    for number, (text, count) in enumerate(zip(texts, counts, strict=True)):
        if count == 0:
            masks = ", ".join(tokenizer.convert_ids_to_tokens(tokenizer.mask_token_ids))
            raise ValueError(
                f"Text {number} has no blank to fill: put one of {masks} where text is wanted, in {text!r}."
            )
    return counts

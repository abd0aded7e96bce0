"""Answer what a reader asks of the page: fillings, alternatives and choices as plain data."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from modeling_glm import (
    BlankConstraint,
    Filling,
    GLMForConditionalGeneration,
    choose,
    fill_blanks,
    plot_attention_layout,
)
from modeling_glm.cli.inputs import Dtype, load
from modeling_glm.filling.jobs import Constraints

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ALTERNATIVES = 5


@dataclass(frozen=True, kw_only=True)
class Question:
    """
    Hold a question of the reader.

    Attributes:
        text: A text with blanks.
        number: The number of fillings.
        sample: Whether to draw answers instead of searching with beams.
        beams: The number of beams.
        temperature, seed: Temperature and seed of the draws.
        longest: The longest answer of a blank, in tokens.
        pattern: A regular expression that every answer must match, or "".
        given: The answers that the reader has set, by the number of the blank, from 0.
    """

    text: str
    number: int = 3
    sample: bool = False
    beams: int = 8
    temperature: float = 1.0
    seed: int = 0
    longest: int = 16
    pattern: str = ""
    given: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Alternative:
    """Hold another answer of a blank, and its probability after the text, given answers and the answers before it."""

    text: str
    probability: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Result:
    """
    Hold what the model found.

    Attributes:
        question: The question.
        fillings: The fillings, best first.
        chosen: The number of the filling that alternatives and picture belong to, from 0.
        alternatives: For every blank of that filling the likeliest other answers.
    """

    question: Question
    fillings: list[Filling]
    chosen: int
    alternatives: list[list[Alternative]]


class Page:
    """
    Answer questions with a model. A question without an answer raises a `ValueError` that says what to do.

    Args:
        name: A folder, or the name of a repository on the hub.
        device, dtype: Device and data type of the weights, as on the command line.
    """

    def __init__(self, name: str, device: str | None = None, dtype: str | None = None):
        self.model, self.tokenizer = load(
            GLMForConditionalGeneration, name, device, Dtype(dtype) if dtype else None, None
        )

    @property
    def masks(self) -> list[str]:
        """The tokens that stand for a blank."""
        return self.tokenizer.convert_ids_to_tokens(self.tokenizer.mask_token_ids)

    @property
    def longest_answer(self) -> int:
        """The longest answer that the position table holds, in tokens."""
        return self.model.config.max_piece_length - 2

    def fill(self, question: Question) -> Result:
        """Fill the blanks of a question."""
        blanks = self._check(question.text, question.given)
        free = self._free(question.pattern)
        constraints = [
            BlankConstraint(answer=question.given[blank]) if blank in question.given else free
            for blank in range(blanks)
        ]
        search: dict[str, Any] = {"num_beams": max(question.beams, question.number)}
        if question.sample:
            search = {"do_sample": True, "temperature": question.temperature, "seed": question.seed}
        found = self._fill([question.text], question, question.number, [constraints], **search)[0]
        if not found:
            raise ValueError(
                f"No answer was found that matches the pattern {question.pattern!r}: take more beams, allow longer "
                "answers, or leave the pattern out."
            )
        return self._result(question, found, 0)

    def choose_filling(self, result: Result, number: int) -> Result:
        """Keep the fillings and find the alternatives of another one."""
        return self._result(result.question, result.fillings, number)

    def put_alternative(self, result: Result, blank: int, number: int) -> Result:
        """Set the answer of a blank, and fill the others again."""
        given = {**result.question.given, blank: result.alternatives[blank][number].text}
        return self.fill(replace(result.question, given=given))

    def release(self, result: Result, blank: int | None = None) -> Result:
        """Let the model fill a blank that the reader had set, or all of them."""
        given = {} if blank is None else {key: text for key, text in result.question.given.items() if key != blank}
        return self.fill(replace(result.question, given=given))

    def choose(self, text: str, choices: str) -> dict[str, float]:
        """Find the probability of every choice among the others. Choices stand on lines of their own."""
        blanks = self._check(text)
        names = list(dict.fromkeys(line.strip() for line in choices.splitlines() if line.strip()))
        if blanks != 1:
            raise ValueError(f"The text has {blanks} blanks: leave one, which the choices are for.")
        if len(names) < 2:
            raise ValueError(f"There are {len(names)} choices: write two or more, each on a line of its own.")
        found = choose(self.model, self.tokenizer, text, names)
        return {choice.text: choice.probability for choice in found}

    def draw(self, result: Result | None) -> "Figure":
        """Draw what the model saw for the chosen filling, as a matplotlib figure. Given answers are part of its text."""
        if result is None:
            raise ValueError("Fill a text first: the picture shows what the model sees of it.")
        question, answers = result.question, result.fillings[result.chosen].answers
        found = [answer.text for answer in answers if not answer.given]
        if not found:
            raise ValueError(
                "You have set all answers, so there is nothing to draw: let the model fill a blank again."
            )
        return plot_attention_layout(self.tokenizer, self.tokenizer.fill_some(question.text, question.given), found)

    def _check(self, text: str, given: dict[int, str] | None = None) -> int:
        """Count the blanks of a text, and check that the model can read it."""
        blanks = len(self.tokenizer.split_at_blanks(text)) - 1
        if not blanks:
            raise ValueError(f"The text has no blank: write {' or '.join(self.masks)} where an answer is wanted.")
        length = len(self.tokenizer(self.tokenizer.fill_some(text, given or {}))["input_ids"])
        most = self.model.config.max_context_length
        if length > most:
            raise ValueError(f"The text has {length} tokens, but the model reads {most} at most: shorten it.")
        return blanks

    def _free(self, pattern: str) -> BlankConstraint:
        """Build the constraint of blanks that the reader has not set."""
        if not pattern:
            return BlankConstraint()
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"The pattern {pattern!r} is not a regular expression: {error}. Correct it.") from None
        return BlankConstraint(regex=pattern)

    def _fill(
        self, texts: Sequence[str], question: Question, number: int, constraints: Constraints, **search: Any
    ) -> list[list[Filling]]:
        settings = {"constraints": constraints, "max_new_tokens_per_blank": question.longest, **search}
        try:
            return fill_blanks(self.model, self.tokenizer, texts, number, **settings)
        except ValueError as error:
            if question.pattern:
                raise ValueError(
                    f"No answer of {question.longest} tokens or fewer can match the pattern {question.pattern!r}: "
                    f"change it, or allow longer answers. ({error})"
                ) from None
            raise

    def _result(self, question: Question, fillings: list[Filling], chosen: int) -> Result:
        """Find what else the chosen filling may have in each blank, after the answers before it."""
        answers = fillings[chosen].answers
        free = self._free(question.pattern)
        stay = [
            BlankConstraint(answer=answer.text) if answer.given else BlankConstraint(choices=[answer.text])
            for answer in answers
        ]
        constraints = [[*stay[:blank], free, *stay[blank + 1 :]] for blank in range(len(answers))]
        # Beams rank by the answers that follow, too, but the page only by the answers before. So search for twice as many.
        found = self._fill([question.text] * len(answers), question, 2 * ALTERNATIVES, constraints)
        alternatives = []
        for blank, answer in enumerate(answers):
            others = [filling.answers[blank] for filling in found[blank]]
            others = sorted((o for o in others if o.text != answer.text), key=lambda other: -other.log_prob)
            alternatives.append(
                [Alternative(text=o.text, probability=math.exp(o.log_prob)) for o in others[:ALTERNATIVES]]
            )
        return Result(question=question, fillings=fillings, chosen=chosen, alternatives=alternatives)

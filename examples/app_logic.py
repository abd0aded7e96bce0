"""What the page of `app.py` does, without its layout: fillings, alternatives and choices as plain data."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from modeling_glm import (
    BlankConstraint,
    Filling,
    GLMForConditionalGeneration,
    GLMForMultipleChoice,
    fill_blanks,
    plot_attention_layout,
)
from modeling_glm.cli.inputs import Dtype, load
from modeling_glm.filling.results import with_space

ALTERNATIVES = 5


@dataclass(frozen=True, kw_only=True)
class Question:
    """
    What is asked of the model.

    Attributes:
        text: A text with blanks.
        number: How many fillings are wanted.
        sample: Whether answers are drawn, not searched by beams.
        beams: How many answers are followed at a time.
        temperature, seed: Of the draws.
        longest: Longest answer of a blank, in tokens.
        pattern: A regular expression that every answer must match, or nothing.
        given: Answers that the reader has set, by the number of the blank, counted from 0.
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
    """Another answer of a blank, and its probability given the text, what the reader set, and the answers before it."""

    text: str
    probability: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Result:
    """
    What the model found.

    Attributes:
        question: What was asked.
        fillings: The fillings, best first.
        chosen: The number of the filling that alternatives and picture are about, counted from 0.
        alternatives: For every blank of that filling the likeliest other answers.
    """

    question: Question
    fillings: list[Filling]
    chosen: int
    alternatives: list[list[Alternative]]


class Page:
    """
    A model with what a reader may ask of it. What cannot be answered is a ValueError that says what to do.

    Args:
        name: A folder, or the name of a repository of the hub.
        device, dtype: Where the weights are and what they are; see [`load`].
    """

    def __init__(self, name: str, device: str | None = None, dtype: str | None = None):
        self.model, self.tokenizer = load(
            GLMForConditionalGeneration, name, device, Dtype(dtype) if dtype else None, None
        )
        # The same weights, with the other head on top.
        with torch.device("meta"):
            self.chooser: Any = GLMForMultipleChoice(self.model.config).eval()
        self.chooser.glm, self.chooser.lm_head = self.model.glm, self.model.lm_head

    @property
    def masks(self) -> list[str]:
        """How a blank is written."""
        return self.tokenizer.convert_ids_to_tokens(self.tokenizer.mask_token_ids)

    @property
    def longest_answer(self) -> int:
        """Longest answer of a blank that the position table holds, in tokens."""
        return self.model.config.max_piece_length - 2

    def fill(self, question: Question) -> Result:
        """Fills the blanks."""
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
        """The same fillings, with the alternatives of another one."""
        return self._result(result.question, result.fillings, number)

    def put_alternative(self, result: Result, blank: int, number: int) -> Result:
        """Sets the answer of a blank, and fills the others anew with it in sight."""
        given = {**result.question.given, blank: result.alternatives[blank][number].text}
        return self.fill(replace(result.question, given=given))

    def release(self, result: Result, blank: int | None = None) -> Result:
        """Lets the model fill a blank again that the reader had set, or all of them."""
        given = {} if blank is None else {key: text for key, text in result.question.given.items() if key != blank}
        return self.fill(replace(result.question, given=given))

    def choose(self, text: str, choices: str) -> dict[str, float]:
        """The probability of every choice, one a line, beside the others."""
        blanks = self._check(text)
        names = list(dict.fromkeys(line.strip() for line in choices.splitlines() if line.strip()))
        if blanks != 1:
            raise ValueError(f"The text has {blanks} blanks: leave one, which the choices are for.")
        if len(names) < 2:
            raise ValueError(f"There are {len(names)} choices: write two or more, each on a line of its own.")
        spaced = [with_space(self.tokenizer.split_at_blanks(text)[0], name) for name in names]
        inputs = self.tokenizer([text], return_tensors="pt")
        inputs = self.tokenizer.build_inputs_for_multiple_choice(inputs, [spaced])
        with torch.inference_mode():
            shares = self.chooser(**inputs.to(self.model.device)).logits.float().softmax(-1)[0].tolist()
        return dict(zip(names, shares, strict=True))

    def draw(self, result: Result | None) -> Any:
        """A matplotlib figure of what the model saw for the chosen filling; given answers are part of its text."""
        if result is None:
            raise ValueError("Fill a text first: the picture shows what the model sees of it.")
        question, answers = result.question, result.fillings[result.chosen].answers
        found = [answer.text for answer in answers if not answer.given]
        if not found:
            raise ValueError("You have set all answers, so the model was not asked: let it fill a blank again.")
        return plot_attention_layout(self.tokenizer, self.tokenizer.fill_some(question.text, question.given), found)

    def _check(self, text: str, given: dict[int, str] | None = None) -> int:
        """The number of blanks of a text that the model can read."""
        blanks = len(self.tokenizer.split_at_blanks(text)) - 1
        if not blanks:
            raise ValueError(f"The text has no blank: write {' or '.join(self.masks)} where an answer is wanted.")
        length = len(self.tokenizer(self.tokenizer.fill_some(text, given or {}))["input_ids"])
        most = self.model.config.max_context_length
        if length > most:
            raise ValueError(f"The text has {length} tokens, but the model reads {most} at most: shorten it.")
        return blanks

    def _free(self, pattern: str) -> BlankConstraint:
        """What an answer may be that the reader has not set."""
        if not pattern:
            return BlankConstraint()
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"The pattern {pattern!r} is no regular expression: {error}. Correct it.") from None
        return BlankConstraint(regex=pattern)

    def _fill(
        self, texts: Sequence[str], question: Question, number: int, constraints: Any, **search: Any
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
        """Asks what else the chosen filling may have in each blank, where the answers before it stay."""
        answers = fillings[chosen].answers
        free = self._free(question.pattern)
        stay = [
            BlankConstraint(answer=answer.text) if answer.given else BlankConstraint(choices=[answer.text])
            for answer in answers
        ]
        constraints = [[*stay[:blank], free, *stay[blank + 1 :]] for blank in range(len(answers))]
        # Twice as many as are shown: they are ranked by the answers that follow too, which have no say here.
        found = self._fill([question.text] * len(answers), question, 2 * ALTERNATIVES, constraints)
        alternatives = []
        for blank, answer in enumerate(answers):
            others = [filling.answers[blank] for filling in found[blank]]
            others = sorted((o for o in others if o.text != answer.text), key=lambda other: -other.log_prob)
            alternatives.append(
                [Alternative(text=o.text, probability=math.exp(o.log_prob)) for o in others[:ALTERNATIVES]]
            )
        return Result(question=question, fillings=fillings, chosen=chosen, alternatives=alternatives)

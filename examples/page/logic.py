"""Answer what a reader asks of the page: fillings, alternatives and choices as plain data."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from transformers import StoppingCriteria

from modeling_glm import (
    AttentionLayout,
    BlankConstraint,
    Filling,
    GLMForConditionalGeneration,
    choose,
    compute_attention_layout,
    fill_blanks,
)
from modeling_glm.cli.inputs import Dtype, PrecisionName, load, read_precision
from modeling_glm.constraints.byte_table import compile_bytes
from modeling_glm.filling.jobs import FillingSettings, JobBuilder
from modeling_glm.tokenization.blanks import encode_text

from .alternatives import BlankView, view_blank
from .turns import Turns

# What a visitor may ask for. A longer question takes minutes on a CPU.
MOST_BLANKS = 50
MOST_CHARACTERS = 10_000
MOST_CHOICES = 100
MOST_DRAWN_TOKENS = 100
# What readers write for a blank.
BLANK = re.compile(r"_{3,}|\[[gs]?mask\]", re.IGNORECASE)


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


@dataclass(frozen=True, kw_only=True, eq=False)
class Result:
    """
    Hold what the model found.

    Attributes:
        question: The question.
        fillings: The fillings, best first.
        chosen: The number of the filling that the views and the picture belong to, from 0.
        views: The distribution of every blank of that filling, None where it has not been computed.
    """

    question: Question
    fillings: list[Filling]
    chosen: int
    views: tuple[BlankView | None, ...]


class Progress(StoppingCriteria):
    """Report which blank is being filled. It stops nothing."""

    def __init__(self, page: "Page", blanks: int):
        self.page = page
        self.blanks = blanks

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        blank = int((input_ids == self.page.tokenizer.sop_token_id).sum(-1).max())
        self.page.turns.report(f"Filling blank {blank} of {self.blanks}")
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)


class Page:
    """
    Answer questions with a model. A question without an answer raises a `ValueError` that says what to do.

    Args:
        name: A folder, or the name of a repository on the hub.
        device, dtype, precision: Device, data type of the weights and precision, as on the command line.
    """

    def __init__(
        self, name: str, device: str | None = None, dtype: str | None = None, precision: str = PrecisionName.auto
    ):
        wanted = read_precision(Dtype(dtype) if dtype else None, PrecisionName(precision))
        self.model, self.tokenizer = load(GLMForConditionalGeneration, name, device, wanted, None)
        self.turns = Turns()
        self.model.glm.register_forward_pre_hook(self.turns.pause)

    @property
    def masks(self) -> list[str]:
        """The tokens that stand for a blank."""
        return self.tokenizer.convert_ids_to_tokens(self.tokenizer.mask_token_ids)

    @property
    def longest_answer(self) -> int:
        """The longest answer that the position table holds, in tokens."""
        return self.model.config.max_piece_length - 2

    def read(self, text: str) -> str:
        """
        Write the blanks of a text as the model reads them: `___` and `[mask]` are blanks, too.

        Raises:
            ValueError: If the text names a mask that the model does not have.
        """
        known = {mask.casefold(): mask for mask in self.masks}

        def write(found: re.Match) -> str:
            name = found[0].casefold()
            if name.startswith("_"):
                return self.tokenizer.mask_token
            if name not in known:
                raise ValueError(f"This model has no {found[0]}: write {' or '.join(self.masks)} instead.")
            return known[name]

        return BLANK.sub(write, text)

    def refuse_pattern(self, pattern: str) -> str:
        """Say why a pattern cannot be prepared, or return "" for others. It does not use the model."""
        if pattern:
            try:
                compile_bytes(pattern)
            except ValueError as error:
                return f"{error} Correct the pattern."
        return ""

    def refuse(self, text: str, choices: str = "") -> str:
        """Say why a question is too large to compute, or return "" for others. It does not use the model."""
        if len(text) > MOST_CHARACTERS:
            return f"The text has {len(text)} characters, and this page takes {MOST_CHARACTERS} at most: shorten it."
        blanks = len(BLANK.findall(text))
        if blanks > MOST_BLANKS:
            return f"The text has {blanks} blanks, and this page fills {MOST_BLANKS} at most: leave some out."
        if len(choices) > MOST_CHARACTERS or len(choices.splitlines()) > MOST_CHOICES:
            return (
                f"This page compares {MOST_CHOICES} choices with {MOST_CHARACTERS} characters at most: leave some out."
            )
        return ""

    def fill(self, question: Question) -> Result:
        """Fill the blanks of a question."""
        question = replace(question, text=self.read(question.text))
        blanks = self._check(question.text, question.given)
        free = self._free(question.pattern)
        constraints = [
            BlankConstraint(answer=question.given[blank]) if blank in question.given else free
            for blank in range(blanks)
        ]
        search: dict[str, Any] = {"num_beams": max(question.beams, question.number)}
        if question.sample:
            search = {"do_sample": True, "temperature": question.temperature, "seed": question.seed}
        try:
            found = fill_blanks(
                self.model,
                self.tokenizer,
                question.text,
                question.number,
                constraints=constraints,
                max_new_tokens_per_blank=question.longest,
                stopping_criteria=[Progress(self, blanks - len(question.given))],
                **search,
            )
        except ValueError as error:
            if question.pattern:
                raise ValueError(
                    f"No answer of {question.longest} tokens or fewer can match the pattern {question.pattern!r}: "
                    f"change it, or allow longer answers. ({getattr(error, 'reason', error)})"
                ) from None
            raise
        if not found:
            raise ValueError(
                f"No answer was found that matches the pattern {question.pattern!r}: take more beams, allow longer "
                "answers, or leave the pattern out."
            )
        return Result(question=question, fillings=found, chosen=0, views=(None,) * blanks)

    def view(self, result: Result) -> Iterator[Result]:
        """Yield the result, and then with the view of one blank more each time."""
        yield result
        free = self._free(result.question.pattern)
        settings = FillingSettings(max_new_tokens_per_blank=result.question.longest)
        builder = JobBuilder(self.tokenizer, self.model.config, settings)
        for blank, view in enumerate(result.views):
            if view is None:
                self.turns.report(f"Looking for other answers, blank {blank + 1} of {len(result.views)}")
                view = view_blank(
                    self.model, builder, result.question.text, result.fillings, result.chosen, blank, free
                )
                result = replace(result, views=(*result.views[:blank], view, *result.views[blank + 1 :]))
                yield result

    def choose_filling(self, result: Result | None, number: int) -> Result:
        """Keep the fillings and choose another one."""
        result = _require(result)
        if not 0 <= number < len(result.fillings):
            raise ValueError(f"There is no filling {number + 1}.")
        return replace(result, chosen=number, views=(None,) * len(result.views))

    def put_alternative(self, result: Result | None, blank: int, number: int) -> Result:
        """Set the answer of a blank, and fill the others again."""
        result = _require(result)
        view = result.views[blank] if 0 <= blank < len(result.views) else None
        if view is None or not 0 <= number < len(view.others):
            raise ValueError(f"Blank {blank + 1} has no answer {number + 1} to set.")
        given = {**result.question.given, blank: view.others[number].text}
        return self.fill(replace(result.question, given=given))

    def release(self, result: Result | None, blank: int | None = None) -> Result:
        """Let the model fill a blank that the reader had set, or all of them."""
        result = _require(result)
        given = {} if blank is None else {key: text for key, text in result.question.given.items() if key != blank}
        return self.fill(replace(result.question, given=given))

    def choose(self, text: str, choices: str) -> dict[str, float]:
        """Find the probability of every choice among the others. Choices stand on lines of their own."""
        text = self.read(text)
        blanks = self._check(text)
        names = list(dict.fromkeys(line.strip() for line in choices.splitlines() if line.strip()))
        if blanks != 1:
            raise ValueError(f"The text has {blanks} blanks: leave one, which the choices are for.")
        if len(names) < 2:
            raise ValueError(f"Write two or more choices, each on a line of its own. There is {len(names) or 'none'}.")
        self.turns.report("Comparing the choices")
        found = choose(self.model, self.tokenizer, text, names)
        return {choice.text: choice.probability for choice in found}

    def draw(self, result: Result | None) -> AttentionLayout:
        """Compute what the model saw for the chosen filling. Given answers are part of its text."""
        result = _require(result)
        question, answers = result.question, result.fillings[result.chosen].answers
        found = [answer.text for answer in answers if not answer.given]
        if not found:
            raise ValueError(
                "You have set all answers, so there is nothing to draw: let the model fill a blank again."
            )
        text = self.tokenizer.fill_some(question.text, question.given)
        layout = compute_attention_layout(self.tokenizer, text, found)
        if len(layout.tokens) > MOST_DRAWN_TOKENS:
            raise ValueError(
                f"The text and its answers have {len(layout.tokens)} tokens, but a picture can show at most "
                f"{MOST_DRAWN_TOKENS}: fill a shorter text."
            )
        return layout

    def _check(self, text: str, given: dict[int, str] | None = None) -> int:
        """Count the blanks of a text, and check that the model can read it."""
        blanks = len(self.tokenizer.split_at_blanks(text)) - 1
        if not blanks:
            raise ValueError(f"The text has no blank: write {', '.join(self.masks)} or ___ where an answer is wanted.")
        (context,) = encode_text(self.tokenizer, [self.tokenizer.fill_some(text, given or {})])
        length = len(context)
        most = self.model.config.max_context_length
        if length > most:
            raise ValueError(f"The text has {length} tokens, but the model reads {most} at most: shorten it.")
        return blanks

    def _free(self, pattern: str) -> BlankConstraint:
        """Build the constraint of blanks that the reader has not set."""
        if not pattern:
            return BlankConstraint()
        return BlankConstraint(regex=pattern)


def _require(result: Result | None) -> Result:
    """Return the result that the reader sees. Visitors who speak to the server themselves may have none."""
    if result is None:
        raise ValueError("Fill a text first: clicks and the picture belong to what the model found.")
    return result

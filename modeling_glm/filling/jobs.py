"""Texts on their way to being filled: with what the answers may be, and in batches."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from ..tokenization import GLMTokenizer
from .automata import Automata
from .constraints import BlankConstraint, BlankRules

# Closed sets with at most so many combinations are ranked exactly, larger ones searched by beams.
MAX_EXACT = 512
Constraints = BlankConstraint | Sequence[BlankConstraint | None] | Sequence[Sequence[BlankConstraint | None] | None]


@dataclass(kw_only=True)
class Job:
    """
    A text on its way to being filled.

    Attributes:
        number: Its place among the texts.
        text: As it was given.
        given: The answers of blanks that were given, by the number of the blank.
        blanks: The numbers of the other blanks, which the model fills.
        context: The ids of the text with the given answers in it.
        rules: What the answers of `blanks` may be.
    """

    number: int
    text: str
    given: dict[int, str]
    blanks: list[int]
    context: list[int]
    rules: list[BlankRules] = field(default_factory=list)

    @property
    def is_closed(self) -> bool:
        """Whether the fillings can be listed: few combinations of closed sets."""
        return math.prod(math.inf if rule.choices is None else len(rule.choices) for rule in self.rules) <= MAX_EXACT

    def is_generated(self, do_sample: bool) -> bool:
        """Whether answers have to be searched or drawn, not only listed and scored."""
        return bool(self.blanks) and (do_sample or not self.is_closed)


def spread_constraints(
    constraints: Constraints | None, numbers_of_blanks: Sequence[int], single: bool
) -> list[list[BlankConstraint]]:
    """
    Gives every blank of every text its constraint.

    Raises:
        ValueError: if there are not as many as blanks or texts.
    """
    free = BlankConstraint()
    if constraints is None or isinstance(constraints, BlankConstraint):
        return [[constraints or free] * number for number in numbers_of_blanks]
    of_texts: list[Any] = list(constraints)
    if all(entry is None or isinstance(entry, BlankConstraint) for entry in of_texts):
        of_texts = [of_texts] * len(numbers_of_blanks)  # the same for every text
    elif single:
        raise ValueError(
            "constraints holds lists, but there is one text: expected a constraint or None for every blank."
        )
    if len(of_texts) != len(numbers_of_blanks):
        raise ValueError(f"constraints has {len(of_texts)} lists, but there are {len(numbers_of_blanks)} texts.")
    rows = []
    for number, (row, blanks) in enumerate(zip(of_texts, numbers_of_blanks, strict=True)):
        row = [None] * blanks if row is None else [row] * blanks if isinstance(row, BlankConstraint) else list(row)
        if len(row) != blanks:
            raise ValueError(
                f"Text {number} has {blanks} blanks, but {len(row)} constraints: give None for a free one."
            )
        rows.append([entry or free for entry in row])
    return rows


def prepare_job(
    tokenizer: GLMTokenizer,
    config: Any,
    automata: Automata,
    number: int,
    text: str,
    constraints: Sequence[BlankConstraint],
    limit: int,
    longest: int,
) -> Job:
    given = {blank: wanted.answer for blank, wanted in enumerate(constraints) if wanted.answer is not None}
    blanks = [blank for blank in range(len(constraints)) if blank not in given]
    asked = tokenizer.fill_some(text, given)
    context = list(tokenizer(asked)["input_ids"])
    masks = config.mask_token_ids
    if sum(token_id in masks for token_id in context) != len(blanks):
        raise ValueError(f"The answers given for text {number}, {given}, have blanks of their own.")
    if len(context) > config.max_context_length:
        raise ValueError(
            f"Text {number} has {len(context)} tokens, but the position table holds {config.max_context_length}: "
            f"shorten {text[:80]!r}..."
        )
    rules = []
    for place, blank in enumerate(blanks):
        wanted = constraints[blank]
        most = longest if wanted.choices is not None or wanted.max_new_tokens is not None else limit
        rules.append(BlankRules(wanted, automata, asked, place, most))
    return Job(number=number, text=text, given=given, blanks=blanks, context=context, rules=rules)


def make_batches(jobs: Sequence[Job], batch_size: int) -> list[list[Job]]:
    """Texts of similar length together, apart by whether there is anything to fill, and whether it can be listed."""

    def kind(job: Job) -> tuple[bool, bool]:
        return bool(job.blanks), job.is_closed

    ordered = sorted(jobs, key=lambda job: (kind(job), len(job.blanks), len(job.context)))
    groups = [list(group) for _, group in itertools.groupby(ordered, key=kind)]
    return [group[start : start + batch_size] for group in groups for start in range(0, len(group), batch_size)]


def pad_left(model: Any, rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """(batch, seq) ids on the model's device, and which of them are no padding."""
    width = max(map(len, rows))
    ids = torch.tensor([[model._padding_id()] * (width - len(row)) + list(row) for row in rows], device=model.device)
    real = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=model.device)
    return ids, real

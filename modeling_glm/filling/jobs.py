"""Prepare what `fill_blanks` works on: checked settings, and texts with their constraints in batches."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from transformers import LogitsProcessor

from ..configuration_glm import GLMConfig
from ..generation_glm import DEFAULT_MAX_NEW_TOKENS_PER_BLANK
from ..tokenization import GLMTokenizer
from .automata import Automata
from .constraints import BlankConstraint, BlankRules
from .processors import sampling_warpers
from .results import check_length

# Closed sets with at most this many combinations are all scored. Larger ones are searched with beams.
MAX_EXACT = 512
OfText = Sequence[BlankConstraint | None]
Constraints = BlankConstraint | OfText | Sequence[OfText | BlankConstraint | None]
Order = Literal["left-to-right", "confident-first"]
ORDERS: tuple[Order, ...] = ("left-to-right", "confident-first")
# Arguments of `generate` that a search sets itself.
OWN_ARGUMENTS = frozenset(
    [
        "attention_mask",
        "do_sample",
        "early_stopping",
        "eos_token_id",
        "input_ids",
        "logits_processor",
        "max_length",
        "max_new_tokens",
        "num_return_sequences",
        "output_scores",
        "position_ids",
        "return_dict_in_generate",
    ]
)


@dataclass(frozen=True, kw_only=True)
class FillingSettings:
    """
    Hold how `fill_blanks` searches. Its docstring describes the fields.

    Raises:
        ValueError: If a value is out of range, or if settings contradict each other.
    """

    num_answers: int = 1
    order: Order = "left-to-right"
    num_beams: int | None = None
    do_sample: bool = False
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    seed: int = 0
    length_penalty: float = 0.0
    max_new_tokens_per_blank: int | None = None
    batch_size: int = 32
    first_number: int = 0
    generate_kwargs: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        beams = self.num_beams or 1
        for name in ("num_answers", "batch_size", "num_beams"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}={value}: expected at least 1.")
        if self.order not in ORDERS:
            raise ValueError(f"order={self.order!r}: expected one of {', '.join(map(repr, ORDERS))}.")
        if self.order == "confident-first" and (self.num_answers > 1 or self.do_sample or beams > 1):
            raise ValueError(
                "order='confident-first' gives one filling: leave num_answers, num_beams and do_sample out."
            )
        if self.do_sample and beams > 1:
            raise ValueError(f"do_sample=True and num_beams={beams}: expected draws or beams, not both.")
        if taken := sorted(OWN_ARGUMENTS & set(self.generate_kwargs)):
            raise ValueError(f"fill_blanks sets {taken[0]} itself: leave it out, or use model.generate.")
        if self.streams and (self.num_answers > 1 or beams > 1 or self.order != "left-to-right"):
            raise ValueError("A streamer is for one answer of a single text, without beams, from left to right.")
        if self.do_sample:
            self.warpers()  # refuses values out of range

    @property
    def streams(self) -> bool:
        """Whether answers go to a streamer."""
        return self.generate_kwargs.get("streamer") is not None

    @property
    def beams(self) -> int:
        """The number of beams of a search: 1 is greedy search, or one row per draw."""
        if self.do_sample:
            return 1
        return self.num_beams or (1 if self.num_answers == 1 else max(4, 2 * self.num_answers))

    def warpers(self) -> list[LogitsProcessor]:
        """Build the processors that shape the distribution of draws."""
        return sampling_warpers(self.temperature, self.top_k, self.top_p, self.min_p) if self.do_sample else []

    def longest_answer(self, config: GLMConfig) -> int:
        """
        Find the longest answer in tokens, where no constraint says otherwise.

        Raises:
            ValueError: If `max_new_tokens_per_blank` exceeds what the position table holds.
        """
        longest = longest_possible_answer(config)
        limit = self.max_new_tokens_per_blank
        if limit is None:
            return min(longest, DEFAULT_MAX_NEW_TOKENS_PER_BLANK)
        if not 1 <= limit <= longest:
            raise ValueError(
                f"max_new_tokens_per_blank={limit} must be between 1 and {longest}, the longest answer that the position "
                "table holds."
            )
        return limit


def longest_possible_answer(config: GLMConfig) -> int:
    """Find the longest answer in tokens that a search can find."""
    # The start of the piece takes one position. One more is free, so that `generate` never cuts an answer off.
    return config.max_piece_length - 2


@dataclass(frozen=True, kw_only=True)
class Job:
    """
    Hold a text with what a search must know about it.

    Attributes:
        number: The place of the text in the caller's list.
        text: The text as the caller wrote it.
        given: The given answers, by the number of the blank.
        blanks: The numbers of the other blanks, which the model fills.
        context: The ids of the text with the given answers in it.
        rules: What the answers of `blanks` may be.
    """

    number: int
    text: str
    given: dict[int, str]
    blanks: list[int]
    context: list[int]
    rules: list[BlankRules]

    @property
    def is_closed(self) -> bool:
        """Whether the closed sets of the blanks have few enough combinations to score all of them."""
        return math.prod(math.inf if rule.choices is None else len(rule.choices) for rule in self.rules) <= MAX_EXACT

    def is_generated(self, do_sample: bool) -> bool:
        """Whether answers are searched or drawn, and not only listed and scored."""
        return bool(self.blanks) and (do_sample or not self.is_closed)


def prepare_jobs(
    tokenizer: GLMTokenizer,
    config: GLMConfig,
    texts: Sequence[str],
    constraints: Sequence[Sequence[BlankConstraint]],
    settings: FillingSettings,
) -> list[Job]:
    """
    Prepare all texts.

    Args:
        tokenizer: The tokenizer of the model.
        config: The config of the model.
        texts: The texts.
        constraints: For every text the constraint of each of its blanks; see `spread_constraints`.
        settings: The settings of the search.

    Raises:
        ValueError: If a text is longer than the position table, if a given answer has blanks of its own, or if no answer
            can fulfil a constraint.
    """
    automata = Automata(tokenizer, config.vocab_size)
    limit = settings.longest_answer(config)
    return [
        _prepare(tokenizer, config, automata, number, text, of_text, limit)
        for number, (text, of_text) in enumerate(zip(texts, constraints, strict=True))
    ]


def _prepare(
    tokenizer: GLMTokenizer,
    config: GLMConfig,
    automata: Automata,
    number: int,
    text: str,
    constraints: Sequence[BlankConstraint],
    limit: int,
) -> Job:
    given = {blank: wanted.answer for blank, wanted in enumerate(constraints) if wanted.answer is not None}
    blanks = [blank for blank in range(len(constraints)) if blank not in given]
    prompt = tokenizer.fill_some(text, given)
    context = list(tokenizer(prompt)["input_ids"])
    if sum(token_id in config.mask_token_ids for token_id in context) != len(blanks):
        raise ValueError(f"The answers given for text {number}, {given}, have blanks of their own.")
    check_length(config, number, text, context)
    rules = []
    for place, blank in enumerate(blanks):
        wanted = constraints[blank]
        has_own_limit = wanted.choices is not None or wanted.max_new_tokens is not None
        longest = longest_possible_answer(config) if has_own_limit else limit
        rules.append(BlankRules(wanted, automata, prompt, place, longest))
    return Job(number=number, text=text, given=given, blanks=blanks, context=context, rules=rules)


def spread_constraints(
    constraints: Constraints | None, numbers_of_blanks: Sequence[int], single: bool
) -> list[list[BlankConstraint]]:
    """
    Give every blank of every text its constraint.

    Args:
        constraints: One constraint for all blanks, a list for the blanks of each text, or a list of such lists.
        numbers_of_blanks: The number of blanks of every text.
        single: Whether the caller gave a single text and not a list.

    Raises:
        ValueError: If the number of constraints is not that of the blanks or texts.
    """
    free = BlankConstraint()
    if constraints is None or isinstance(constraints, BlankConstraint):
        return [[constraints or free] * number for number in numbers_of_blanks]
    of_texts = list(constraints)
    if all(entry is None or isinstance(entry, BlankConstraint) for entry in of_texts):
        of_texts = [of_texts] * len(numbers_of_blanks)  # type: ignore[list-item]  # the same for every text
    elif single:
        raise ValueError(
            "constraints holds lists, but there is one text: expected a constraint or None for every blank."
        )
    if len(of_texts) != len(numbers_of_blanks):
        raise ValueError(f"constraints has {len(of_texts)} lists, but there are {len(numbers_of_blanks)} texts.")
    rows = []
    for number, (entry, blanks) in enumerate(zip(of_texts, numbers_of_blanks, strict=True)):
        row = [entry] * blanks if entry is None or isinstance(entry, BlankConstraint) else list(entry)
        if len(row) != blanks:
            raise ValueError(
                f"Text {number} has {blanks} blanks, but {len(row)} constraints: give None for a free one."
            )
        rows.append([constraint or free for constraint in row])
    return rows


def make_batches(jobs: Sequence[Job], batch_size: int) -> list[list[Job]]:
    """
    Put texts of similar length together.

    All texts of a batch have something to fill or none has, and all are closed or none is: one search does for a batch.
    """

    def kind(job: Job) -> tuple[bool, bool]:
        return bool(job.blanks), job.is_closed

    ordered = sorted(jobs, key=lambda job: (kind(job), len(job.blanks), len(job.context)))
    groups = [list(group) for _, group in itertools.groupby(ordered, key=kind)]
    return [group[start : start + batch_size] for group in groups for start in range(0, len(group), batch_size)]

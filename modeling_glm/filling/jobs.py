"""Prepare what `fill_blanks` works on: checked settings, and texts with their constraints in batches."""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import torch
from transformers import LogitsProcessor

from ..configuration_glm import GLMConfig
from ..constraints.blank_constraint import BlankConstraint
from ..constraints.factory import Automata
from ..constraints.rules import BlankRules
from ..settings_glm import DEFAULT_MAX_NEW_TOKENS_PER_BLANK
from ..tokenization import GLMTokenizer
from ..tokenization.blanks import encode_text
from ..utils.numbers import (
    check_batch_size,
    check_real_number,
    check_temperature,
    check_truth_value,
    check_whole_number,
)
from ..utils.rows import in_batches, read_text
from .arguments import OWN_ARGUMENTS, arguments_of_rows
from .processors import sampling_warpers
from .results import count_blanks, fit_context

# Closed sets with at most this many combinations are all scored. Larger ones are searched with beams.
MAX_EXACT = 512
# Texts that the tokenizer gets in one call. What it returns takes more memory than the ids that are kept.
ENCODED_TOGETHER = 1024
OfText = Sequence[BlankConstraint | None]
Constraints = BlankConstraint | OfText | Sequence[OfText | BlankConstraint | None]
Order = Literal["left-to-right", "confident-first"]
ORDERS: tuple[Order, ...] = ("left-to-right", "confident-first")
# How the numbers of the settings are checked. Those that may be None are checked where they are given.
CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "num_answers": partial(check_whole_number, least=1),
    "num_beams": partial(check_whole_number, least=1),
    "do_sample": check_truth_value,
    "temperature": check_temperature,
    "top_k": partial(check_whole_number, least=1),
    "top_p": partial(check_real_number, least=0.0, most=1.0),
    "min_p": partial(check_real_number, least=0.0, most=1.0),
    "seed": check_whole_number,
    "length_penalty": check_real_number,
    "max_new_tokens_per_blank": check_whole_number,
    "truncation": check_truth_value,
    "batch_size": check_batch_size,
    "first_number": check_whole_number,
}
# The settings that shape draws, with the values that change nothing.
UNSHAPED = {"temperature": 1.0, "top_k": None, "top_p": None, "min_p": None}
# Arguments of `generate` that change how long it takes, and not which answer is best.
NEUTRAL = frozenset(
    [
        "assistant_model",
        "assistant_tokenizer",
        "cache_implementation",
        "compile_config",
        "disable_compile",
        "max_time",
        "prompt_lookup_num_tokens",
        "streamer",
        "use_cache",
    ]
)
OPTIONAL = frozenset(["num_beams", "top_k", "top_p", "min_p", "max_new_tokens_per_blank"])


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
    truncation: bool = False
    batch_size: int = 32
    first_number: int = 0
    generate_kwargs: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        for name, check in CHECKS.items():
            if (value := getattr(self, name)) is not None or name not in OPTIONAL:
                object.__setattr__(self, name, check(name, value))  # the dataclass is frozen
        if (seconds := self.generate_kwargs.get("max_time")) is not None:
            check_real_number("max_time", seconds, above=0, most=math.inf)
        beams = self.num_beams or 1
        if self.order not in ORDERS:
            raise ValueError(f"order={self.order!r}: expected one of {', '.join(map(repr, ORDERS))}.")
        if self.order == "confident-first" and (self.num_answers > 1 or self.do_sample or beams > 1):
            raise ValueError(
                "order='confident-first' gives one filling: leave num_answers, num_beams and do_sample out."
            )
        if self.order == "confident-first" and self.generate_kwargs.get("guidance_scale") is not None:
            raise ValueError("order='confident-first' knows no guidance: leave guidance_scale or the order out.")
        if self.do_sample and beams > 1:
            raise ValueError(f"do_sample=True and num_beams={beams}: expected draws or beams, not both.")
        if taken := sorted(OWN_ARGUMENTS & set(self.generate_kwargs)):
            raise ValueError(f"fill_blanks sets {taken[0]} itself: leave it out, or use model.generate.")
        if "stop_strings" in self.generate_kwargs:
            raise ValueError(
                "stop_strings: an answer of fill_blanks ends with its end token. Use constraints=BlankConstraint(regex=...), or "
                "model.generate."
            )
        if not self.do_sample and self.num_beams is not None and self.num_answers > self.num_beams:
            raise ValueError(
                f"num_answers={self.num_answers} and num_beams={self.num_beams}: expected as many beams as answers, or more."
            )
        if self.streams and (self.num_answers > 1 or beams > 1 or self.order != "left-to-right"):
            raise ValueError("A streamer is for one answer of a single text, without beams, from left to right.")
        if self.do_sample:
            self.warpers()  # refuses values out of range
        elif shaped := [name for name, unused in UNSHAPED.items() if getattr(self, name) != unused]:
            raise ValueError(
                f"{shaped[0]}={getattr(self, shaped[0])} shapes draws: set do_sample=True, or ask for the best answers with "
                "num_answers."
            )
        if "targets" in self.generate_kwargs:
            raise ValueError(
                "targets is a setting of fill-mask: ask for constraints=BlankConstraint(choices=[...]), with num_answers."
            )

    @classmethod
    def read(cls, arguments: Mapping[str, Any]) -> "FillingSettings":
        """Read keyword arguments of `fill_blanks`. Those that are no fields are for `generate`."""
        own = {name: arguments[name] for name in cls.__dataclass_fields__ if name in arguments}
        return cls(**own, generate_kwargs={name: value for name, value in arguments.items() if name not in own})

    @property
    def shapes_scores(self) -> bool:
        """Whether `generate` gets arguments that may change which answer is best, such as `bad_words_ids`."""
        return not set(self.generate_kwargs) <= NEUTRAL

    @property
    def streams(self) -> bool:
        """Whether answers go to a streamer."""
        return self.generate_kwargs.get("streamer") is not None

    @property
    def beams(self) -> int:
        """The number of beams of a search: 1 is greedy search, or one row per draw."""
        if self.do_sample:
            return 1
        return self.num_beams or (1 if self.num_answers == 1 else default_beams(self.num_answers))

    def warpers(self) -> list[LogitsProcessor]:
        """Build the processors that shape the distribution of draws."""
        return sampling_warpers(self.temperature, self.top_k, self.top_p, self.min_p) if self.do_sample else []

    def arguments_of(self, jobs: Iterable["Job"]) -> dict[str, Any]:
        """Return the further arguments of `generate` for rows of these texts."""
        return arguments_of_rows(self.generate_kwargs, [job.number for job in jobs], self.first_number)

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
        because = ", the longest answer that the position table holds"
        return check_whole_number("max_new_tokens_per_blank", limit, least=1, most=longest, because=because)

    def check_vocabulary(self, config: GLMConfig) -> None:
        """Raise a `ValueError` for more answers or beams than the vocabulary has tokens to begin them with."""
        most, because = config.vocab_size, ", the number of tokens with which an answer can begin"
        for name in ("num_answers", "num_beams"):
            if (value := getattr(self, name)) is not None:
                check_whole_number(name, value, least=1, most=most, because=because)

    def check_lengths(self, tokens: int) -> None:
        """
        Raise a `ValueError` if `length_penalty` takes lengths out of what float32 holds.

        Args:
            tokens: The most tokens of a filling, with the ends.
        """
        # Half of the digits, because the result is divided or multiplied by a log-probability.
        largest = math.log(torch.finfo(torch.float32).max) / 2 / math.log(max(2, tokens))
        because = f", because {tokens} tokens to a greater power are not in the range of float32"
        check_real_number("length_penalty", self.length_penalty, least=-largest, most=largest, because=because)


def default_beams(num_answers: int) -> int:
    """Return how many beams find this many answers, where the caller does not say."""
    return max(4, 2 * num_answers)


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

    def is_generated(self, settings: FillingSettings) -> bool:
        """Return whether answers are searched or drawn, and not only listed and scored, which reads no arguments."""
        return bool(self.blanks) and (settings.do_sample or settings.shapes_scores or not self.is_closed)


@dataclass(frozen=True, kw_only=True)
class _CheckedText:
    """Hold a checked text whose ids are not known yet. `prompt` is the text with its given answers; see `Job`."""

    number: int
    text: str
    constraints: list[BlankConstraint]
    given: dict[int, str]
    blanks: list[int]
    prompt: str


class JobBuilder:
    """
    Prepare texts.

    Args:
        tokenizer: The tokenizer of the model.
        config: The config of the model.
        settings: The settings of the search.

    Raises:
        ValueError: If the longest answer of the settings exceeds what the position table holds, or if they ask for more
            answers or beams than the vocabulary has tokens.
    """

    def __init__(self, tokenizer: GLMTokenizer, config: GLMConfig, settings: FillingSettings):
        self.tokenizer = tokenizer
        self.config = config
        self._automata = Automata(tokenizer, config.vocab_size)
        self._limit = settings.longest_answer(config)
        self._settings = settings
        self._is_mask = frozenset(config.mask_token_ids).__contains__
        settings.check_vocabulary(config)

    def build(self, number: int, text: str, constraints: OfText | BlankConstraint | None = None) -> Job:
        """
        Check a text and prepare what a search must know of it.

        Args:
            number: The place of the text in the caller's list.
            text: The text.
            constraints: One constraint for all its blanks, a list with one or None for each, or None.

        Raises:
            ValueError: If the text has no blank or is longer than the position table, if the constraints do not fit its
                blanks, if a given answer has blanks of its own, or if no answer can fulfil a constraint.
        """
        return self._finish(self._draft(number, text, constraints))

    def build_all(
        self, texts: Iterable[Any], constraints: Iterable[OfText | BlankConstraint | None]
    ) -> Iterator[Job | ValueError]:
        """
        Prepare many texts as `build` does. The tokenizer encodes about a thousand of them in one call.

        Args:
            texts: The rows of the caller; see `read_text`.
            constraints: For every text its constraints.

        Yields:
            For every text its job, or the error that `build` raises.
        """
        rows = enumerate(zip(texts, constraints, strict=True))
        for _, batch in in_batches(rows, ENCODED_TOGETHER):
            drafts = [_value_or_error(self._draft, number, *row) for number, row in batch]
            prompts = [draft.prompt for draft in drafts if isinstance(draft, _CheckedText)]
            contexts = iter(self._encode(prompts))
            for draft in drafts:
                is_good = isinstance(draft, _CheckedText)
                yield _value_or_error(self._finish, draft, next(contexts)) if is_good else draft

    def _draft(self, number: int, row: Any, constraints: OfText | BlankConstraint | None) -> _CheckedText:
        """Check a text with its constraints, and put given answers into it."""
        text = read_text(row)
        of_blanks = constraints_of_blanks(constraints, count_blanks(self.tokenizer, text))
        given = {blank: wanted.answer for blank, wanted in enumerate(of_blanks) if wanted.answer is not None}
        blanks = [blank for blank in range(len(of_blanks)) if blank not in given]
        prompt = self.tokenizer.fill_some(text, given) if given else text
        return _CheckedText(number=number, text=text, constraints=of_blanks, given=given, blanks=blanks, prompt=prompt)

    def _encode(self, prompts: Sequence[str]) -> Sequence[list[int] | None]:
        try:
            return encode_text(self.tokenizer, prompts)
        except ValueError:  # a given answer that no tokenizer can read: each text alone, so that the error has its row
            return [None] * len(prompts)

    def _finish(self, draft: _CheckedText, context: list[int] | None = None) -> Job:
        """Prepare a draft. Its ids are those of its prompt, which is encoded here if nobody did."""
        given, blanks = draft.given, draft.blanks
        context = fit_context(self.tokenizer, self.config, draft.prompt, context, self._settings.truncation)
        if sum(map(self._is_mask, context)) != len(blanks):
            raise ValueError(f"The given answers {given} have blanks of their own.")
        rules = []
        for blank in blanks:
            wanted = draft.constraints[blank]
            has_own_limit = wanted.choices is not None or wanted.max_new_tokens is not None
            longest = longest_possible_answer(self.config) if has_own_limit else self._limit
            rules.append(BlankRules(wanted, self._automata, longest))
        self._settings.check_lengths(sum(rule.longest + 1 for rule in rules))
        return Job(number=draft.number, text=draft.text, given=given, blanks=blanks, context=context, rules=rules)


def _value_or_error(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function. Return its value, or the `ValueError` that it raises."""
    try:
        return function(*arguments)
    except ValueError as error:
        return error


def constraints_of_blanks(constraints: OfText | BlankConstraint | None, blanks: int) -> list[BlankConstraint]:
    """Give every blank of a text its constraint. Raises a `ValueError` for a list that is not one for each blank."""
    free = BlankConstraint()
    if constraints is None or isinstance(constraints, BlankConstraint):
        return [constraints or free] * blanks
    is_list = isinstance(constraints, Iterable) and not isinstance(constraints, str | Mapping)
    listed: list[Any] = list(constraints) if is_list else [constraints]
    for entry in listed:
        if entry is not None and not isinstance(entry, BlankConstraint):
            raise ValueError(
                f"{entry!r} is no constraint: expected a BlankConstraint, such as BlankConstraint(choices=[...]), or None for a "
                "free blank."
            )
    if len(listed) != blanks:
        raise ValueError(f"The text has {blanks} blanks, but {len(listed)} constraints: give None for a free one.")
    return [constraint or free for constraint in listed]


class OfTexts(list):
    """Constraints with an entry for each text, also where every entry is a single constraint or None."""


def is_for_all(constraints: Any) -> bool:
    """
    Return whether constraints are the same for every text: one, or a sequence with one for each blank.

    An iterator has an entry for each text.
    """
    if constraints is None or isinstance(constraints, BlankConstraint):
        return True
    if isinstance(constraints, OfTexts | Iterator):
        return False
    if isinstance(constraints, str | Mapping) or not isinstance(constraints, Iterable):
        raise ValueError(
            f"constraints={constraints!r}: expected a BlankConstraint, a list with one or None for every blank, or a list of "
            "such lists with one for every text."
        )
    return all(entry is None or isinstance(entry, BlankConstraint) for entry in constraints)


def spread_constraints(
    constraints: Constraints | None, num_texts: int, single: bool
) -> list[OfText | BlankConstraint | None]:
    """
    Give every text its constraints.

    Args:
        constraints: One constraint for all blanks, a list for the blanks of each text, or a list of such lists.
        num_texts: The number of texts.
        single: Whether the caller gave a single text and not a list.

    Raises:
        ValueError: If the number of lists is not that of the texts.
    """
    if is_for_all(constraints):
        same = constraints if constraints is None or isinstance(constraints, BlankConstraint) else list(constraints)
        return [same] * num_texts  # type: ignore[list-item]
    of_texts = list(constraints)  # type: ignore[arg-type]
    if single:
        raise ValueError(
            "constraints holds lists, but there is one text: expected a constraint or None for every blank."
        )
    if len(of_texts) != num_texts:
        raise ValueError(f"constraints has {len(of_texts)} lists, but there are {num_texts} texts.")
    return of_texts


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

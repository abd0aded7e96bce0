"""
Turn the typed questions of `transformers.decision` into texts with blanks, and their options into branches behind them.

Transformers has decision models from 5.23 on. Before, nothing imports this file.
"""

import functools
import json
import math
import re
import string
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import torch
from huggingface_hub.dataclasses import strict
from huggingface_hub.errors import StrictDataclassError
from transformers.decision import DecisionConfig, Question, parse_questions

PATTERN = "{state} {question} {descriptions} [MASK]."
BLANK = "[MASK]"
STATE = re.compile(r"\{state(?:\|\w+)*\}")
# A field takes the space before it with it, so an empty one leaves no gap.
FIELD = re.compile(r"( ?)\{(state\.\w+|\w+)((?:\|\w+)*)\}")
OF_QUESTION = ("question", "descriptions")
# Before the name of a key of the state, which may then be that of another field.
OF_STATE = "state."
# A filter that changes how a field is tokenized, not its text.
INLINE = "inline"
# Those of `modeling_glm.tokenization.patterns.syntax`, which is not uploaded.
PUNCTUATION = string.punctuation + "。，、；：？！…“”‘’（）《》【】"
FILTERS: dict[str, Callable[[str], str]] = {
    "bare": lambda text: text.rstrip(PUNCTUATION),
    "lower_first": lambda text: text[:1].lower() + text[1:],
    "strip": str.rstrip,
}
# The most tokens of options behind a text in one row; more take several rows.
MOST_BRANCH_TOKENS = 512
Tokens = tuple[int, ...]
Config = TypeVar("Config")


@dataclass(frozen=True)
class OptionForm:
    """
    Hold one way to write an option.

    Attributes:
        slot: The number of the option among those of all questions, and of all states that are asked about.
        blank: The number of the blank in the text of the row.
        token_ids: Its tokens.
    """

    slot: int
    blank: int
    token_ids: Tokens


@dataclass(frozen=True)
class DecisionRow:
    """
    Hold a text and options for its blanks.

    Attributes:
        context: The ids of the text.
        forms: The options, sorted by their tokens: scores do not depend on the order in the request, to the last bit.
    """

    context: Tokens
    forms: tuple[OptionForm, ...]


class AskedQuestion(NamedTuple):
    """
    Hold a question of a request.

    Attributes:
        question: The question of the library.
        words: For every option the words that stand for it.
        first: The slot of its first option.
    """

    question: Question
    words: list[list[str]]
    first: int


def _explain(config_class: type[Config]) -> type[Config]:
    """Let a strict dataclass raise a `ValueError` for settings that it refuses."""
    initialize = config_class.__init__

    @functools.wraps(initialize)
    def initialize_and_explain(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            initialize(self, *args, **kwargs)
        except StrictDataclassError as error:
            reason = error.__cause__ if isinstance(error.__cause__, ValueError) else error
            raise ValueError(str(reason)) from error

    config_class.__init__ = initialize_and_explain  # type: ignore[method-assign]
    return config_class


@_explain
@strict
@dataclass
class GLMDecisionConfig(DecisionConfig):
    """
    Say how a GLM answers questions. The model saves it as `decision.json`.

    Args:
        labels: Of `DecisionConfig`. GLM reads only those of `noul`: the answers in the order of `noul_options`, by default
            "Yes" for true and "No" for false. An answer may have several tokens.
        temperature: Of `DecisionConfig`: a temperature for every type of question. See
            `modeling_glm.decision.fitting.fit_temperatures`.
        chat_template, noul_options, adapter: Of `DecisionConfig`. GLM has no use for a chat template.
        sanitize_control_tokens: Whether special tokens in a request are ordinary characters. With False they are an error.
        pattern: The text that the model reads. `[MASK]` is the blank; `{state}`, `{question}` (its instructions) and
            `{descriptions}` (those of its options, sorted by name) are fields. Other fields are keys of a state that is a
            dict, or the state itself if there is one such field. `{state.question}` is the key `question` of the state. A
            field takes the space before it with it. The filters `bare`, `lower_first` and `strip` of cloze patterns may
            follow its name: `{state|strip}`.
        words: For an option the words that stand for it; their probabilities are added. Other options stand for
            themselves.
        share_state: Whether the questions of a request stand in one text, each with its blank, so that the model reads the
            state once. The part of the pattern up to `{state}` stands once, the part behind it for every question. With
            False every question has its own text, and its answer does not depend on the other questions.
        separate_fields: Whether every field is tokenized alone, as in cloze patterns, and not with the text around it. A
            field with the filter `inline` is not, and leaves the space before it.
        score_ends: Whether the end of an option counts. Then an option may be the beginning of another.
        content_free: States without content, such as "N/A". What the model answers about them is subtracted from the
            scores (contextual calibration, Zhao et al. 2021). By default it is not asked.
        truncation: Whether a text that is too long is cut around its blanks. Otherwise it is an error.
        max_length: Most tokens of a text. None means what the position table of the model holds.
        max_option_length: Most tokens of an option. None means what the position table of the model holds.
        max_options: Most options of a question.

    Raises:
        ValueError: For a pattern without exactly one blank, words without text, and limits out of range.
    """

    pattern: str = PATTERN
    words: dict[str, list[str]] = field(default_factory=dict)
    share_state: bool = True
    separate_fields: bool = False
    score_ends: bool = False
    content_free: list[str] = field(default_factory=list)
    truncation: bool = False
    max_length: int | None = None
    max_option_length: int | None = None
    max_options: int = 256

    def validate_pattern(self):
        """Raise a `ValueError` for a pattern without exactly one blank, or with a brace that is not part of a field."""
        if self.pattern.count(BLANK) != 1:
            raise ValueError(f"pattern={self.pattern!r} has {self.pattern.count(BLANK)} blanks: expected one {BLANK}.")
        if odd := re.search(r"[{}]", FIELD.sub("", self.pattern)):
            raise ValueError(
                f"pattern={self.pattern!r} has a {odd[0]!r} that is not part of a field such as {{state}}."
            )
        names = [name for _, _, filters in FIELD.findall(self.pattern) for name in filters.split("|")[1:]]
        if unknown := [name for name in names if name not in (*FILTERS, INLINE)]:
            raise ValueError(
                f"pattern={self.pattern!r} has the filter {unknown[0]!r}: expected one of {sorted([*FILTERS, INLINE])}."
            )

    def validate_words(self):
        """Raise a `ValueError` for an option without words, and for other than two answers of yes-or-no questions."""
        for option, words in self.words.items():
            if not words or not all(word.strip() for word in words):
                raise ValueError(f"words[{option!r}] is {words!r}: expected at least one word, none empty.")
        if "noul" in self.labels and len(self.labels["noul"]) != 2:
            raise ValueError(f"labels['noul'] is {self.labels['noul']!r}: expected two answers, as noul_options.")

    def validate_limits(self):
        """Raise a `ValueError` for a limit below 1, and for a temperature that is not above 0."""
        for name in ("max_length", "max_option_length", "max_options"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}={value}: expected at least 1.")
        for kind, value in self.temperature.items():
            if not 0 < value < math.inf:
                raise ValueError(f"temperature[{kind!r}]={value}: expected a number above 0.")

    def prepare_inputs(self, request: Any, processor: Any) -> list[tuple[dict[str, Any], list[Question]]]:
        """
        Prepare a request for `GLMForDecision.decide`, as the pipeline and the server of the library do.

        Args:
            request: `{"state": ..., "questions": {name: question}}`, or its JSON.
            processor: A `GLMTokenizer`.

        Returns:
            One pair: the inputs of `decide` for all questions, and the questions.

        Raises:
            ValueError: For a request that cannot be answered. The message names the question and says what to do.
        """
        tokenizer = getattr(processor, "tokenizer", processor)
        rows, questions = self.encode(request, tokenizer)
        width = max(len(row.context) for row in rows)
        padding = tokenizer.pad_token_id or 0
        ids = [[*row.context, *[padding] * (width - len(row.context))] for row in rows]
        return [({"input_ids": torch.tensor(ids), "marks": torch.tensor([width]), "rows": rows}, questions)]

    def encode(self, request: Any, tokenizer: Any) -> tuple[list[DecisionRow], list[Question]]:
        """Encode a request as its rows and its questions. Raises as `prepare_inputs`."""
        if not hasattr(tokenizer, "encode_parts"):
            raise ValueError(
                f"The tokenizer is a {type(tokenizer).__name__} that cannot encode questions: expected a GLMTokenizer of "
                "modeling-glm 0.2 or later. If it is an older one, save it again with this version."
            )
        state, asked = self._read(request)
        limit: Any = self.max_length or getattr(tokenizer, "model_max_length", math.inf)
        forms = self._list_forms(asked, tokenizer, self.max_option_length or limit)
        by_context: dict[Tokens, list[OptionForm]] = {}
        for number, content in enumerate([state, *(self._empty(state, text) for text in self.content_free)]):
            for parts, group in self._fill(content, asked):
                self._check_control_tokens([text for part in parts for text in part], tokenizer)
                texts = parts if self.separate_fields else [text for (text,) in parts]
                context = tuple(tokenizer.encode_parts(texts, limit if self.truncation else None))
                if len(context) > limit:
                    raise _too_long(len(context), limit, len(group))
                of_context = by_context.setdefault(context, [])
                for blank, one in enumerate(group):
                    for slot, of_option in enumerate(forms[one.first : one.first + len(one.words)], start=one.first):
                        of_context += [OptionForm(number * len(forms) + slot, blank, form) for form in of_option]
        return list(_split_into_rows(by_context)), [one.question for one in asked]

    def render(self, request: Any) -> list[str]:
        """Write the texts that the model reads for a request: one, or one for every question. Raises as `prepare_inputs`."""
        filled = self._fill(*self._read(request))
        return [BLANK.join("".join(segments) for segments in parts) for parts, _ in filled]

    # --- Read a request ---

    def _read(self, request: Any) -> tuple[Any, list[AskedQuestion]]:
        if isinstance(request, str):
            request = _read_json(request)
        if not isinstance(request, Mapping) or "state" not in request or "questions" not in request:
            raise ValueError(
                f'The request is {_shown(request)}: expected {{"state": ..., "questions": {{name: question}}}}, as a dict or '
                "its JSON."
            )
        if request.get("assets"):
            raise ValueError(f"The request has the assets {list(request['assets'])}: GLM reads text only.")
        if not isinstance(request["state"], str | Mapping | list):
            raise ValueError(f"The state is {_shown(request['state'])}: expected a string, a dict or a list.")
        asked: list[AskedQuestion] = []
        for question in self._parse(request["questions"]):
            asked.append(self._ask(question, asked[-1].first + len(asked[-1].words) if asked else 0))
        return request["state"], asked

    def _parse(self, questions: Any) -> list[Question]:
        longest = 1
        for name, question in questions.items() if isinstance(questions, Mapping) else ():
            criteria = question.get("criteria") if isinstance(question, Mapping) else None
            count = len(criteria) if isinstance(criteria, Sized) else 0
            if count > self.max_options:
                raise ValueError(
                    f"Question {name!r} has {count} options: expected at most {self.max_options} (`max_options` of the "
                    "decision config). Ask for a group of them first, and then for the options in the group."
                )
            longest = max(longest, count)
        # Labels are for models that read a letter for every option. GLM reads the options themselves.
        labels = {kind: [""] * longest for kind in Question.questions_types if kind != "noul"}
        return parse_questions(questions, DecisionConfig(labels=labels, noul_options=list(self.noul_options)))

    def _ask(self, question: Question, first: int) -> AskedQuestion:
        """Find the words of every option: of `words`, or else the option itself."""
        texts = list(question.options)
        if question.type == "noul":
            labels = self.labels.get("noul")
            of_truth = (
                {"true": "Yes", "false": "No"} if labels is None else dict(zip(self.noul_options, labels, strict=True))
            )
            texts = [of_truth[option] for option in question.options]
        elif question.type == "score":
            texts = [_text(level) for level in question.descriptions]
        words = [
            self.words.get(option) or self.words.get(text) or [text]
            for option, text in zip(question.options, texts, strict=True)
        ]
        known = [of_option in self.words.values() for of_option in words]
        if self.words and not self._reads("question") and not all(known):
            raise ValueError(
                f"Question {question.name!r}: this model answers one task with the options {list(self.words)} and reads no "
                f"instructions. It cannot answer with {question.options[known.index(False)]!r}: use its options, or another "
                "model."
            )
        question.labels = [of_option[0] for of_option in words]
        return AskedQuestion(question, words, first)

    # --- Write the texts ---

    def _fill(self, state: Any, asked: Sequence[AskedQuestion]) -> list[tuple[list[list[str]], list[AskedQuestion]]]:
        """
        Write every text as the parts around its blanks, with the questions that the blanks ask.

        A part consists of the segments that are tokenized alone; without `separate_fields` it is one segment.
        """
        shares = self.share_state and self._split() is not None
        groups = [list(asked)] if shares else [[one] for one in asked]
        return [(self._fill_parts(state, group), group) for group in groups]

    def _fill_parts(self, state: Any, group: Sequence[AskedQuestion]) -> list[list[str]]:
        """
        Fill the pattern for the questions of one text. What stands behind the state is repeated for each:

            {state} {question} [MASK].  ->  [["Ice melts. Is it cold?"], [". Is it wet?"], ["."]]
        """
        begun, repeated = self._split() or ("", self.pattern)
        before, after = repeated.split(BLANK)
        parts = [self._fill_fields(begun, state, group[0])]
        for one in group:
            begun_segment, *others = self._fill_fields(before, state, one)
            parts[-1][-1] += begun_segment
            parts[-1] += others
            parts.append(self._fill_fields(after, state, one))
        return parts

    def _split(self) -> tuple[str, str] | None:
        """Split the pattern behind the state. Returns None if a question or the blank comes first, or no field is the state."""
        found = STATE.search(self.pattern)
        if found is None:
            return None
        begun, repeated = self.pattern[: found.end()], self.pattern[found.end() :]
        asks_first = BLANK in begun or any(name in OF_QUESTION for _, name, _ in FIELD.findall(begun))
        return None if asks_first else (begun, repeated)

    def _reads(self, name: str) -> bool:
        return name in (field_name for _, field_name, _ in FIELD.findall(self.pattern))

    def _fill_fields(self, text: str, state: Any, one: AskedQuestion) -> list[str]:
        """Fill the fields of a text, and split it into segments: the first and the last are what the pattern says."""
        segments, end = [""], 0
        for match in FIELD.finditer(text):
            space, name, filters = match.groups()
            value, names = self._read_field(name, state, one.question), filters.split("|")[1:]
            for filter_name in names:
                value = FILTERS.get(filter_name, str)(value)
            value = space + value if value or INLINE in names else ""
            segments[-1] += text[end : match.start()]
            if self.separate_fields and INLINE not in names:
                segments += [value, ""]
            else:
                segments[-1] += value
            end = match.end()
        segments[-1] += text[end:]
        return segments

    def _read_field(self, name: str, state: Any, question: Question) -> str:
        if name == "question":
            return _text(question.instructions)
        if name == "descriptions":
            return _describe(question)
        if name == "state":
            return _text(state)
        own = {other for _, other, _ in FIELD.findall(self.pattern)} - set(OF_QUESTION)
        key = name.removeprefix(OF_STATE)
        if isinstance(state, Mapping) and key in state:
            return _text(state[key])
        if not isinstance(state, Mapping) and len(own) == 1:
            return _text(state)
        held = f"a dict with the keys {list(state)}" if isinstance(state, Mapping) else f"a {type(state).__name__}"
        raise ValueError(
            f"The pattern {self.pattern!r} reads the field {key!r} of the state, but the state is {held}."
        )

    def _empty(self, state: Any, text: str) -> Any:
        """Put a text without content in the place of a state, or of all its fields if the pattern reads these."""
        return dict.fromkeys(state, text) if isinstance(state, Mapping) and not self._reads("state") else text

    # --- Encode the options ---

    def _list_forms(self, asked: Sequence[AskedQuestion], tokenizer: Any, limit: float) -> list[list[Tokens]]:
        """List the forms of the options of all questions, those of the words of an option together."""
        flat = list(dict.fromkeys(word for one in asked for of_option in one.words for word in of_option))
        self._check_control_tokens(flat, tokenizer)
        by_word = dict(zip(flat, tokenizer.answer_forms(flat), strict=True))
        end = (tokenizer.eop_token_id,) if self.score_ends else ()
        listed = []
        for question, words, _ in asked:
            owners: dict[Tokens, str] = {}
            for option, of_option in zip(question.options, words, strict=True):
                place = f"Question {question.name!r}: option {_shown(option)}"
                forms = list(dict.fromkeys((*form, *end) for word in of_option for form in by_word[word]))
                if end in forms or not all(word.strip() for word in of_option):
                    raise ValueError(f"{place} has no tokens: write at least one word.")
                if (longest := max(map(len, forms))) > limit:
                    raise ValueError(
                        f"{place} has {longest} tokens, but the position table holds {limit}: shorten it."
                    )
                for form in forms:
                    if owners.setdefault(form, option) != option:
                        raise ValueError(
                            f"{place} has the same tokens as {_shown(owners[form])}: the model cannot tell them apart. "
                            "Rename one of them."
                        )
                listed.append(forms)
            _refuse_prefixes(question.name, owners)
        return listed

    def _check_control_tokens(self, texts: Sequence[str], tokenizer: Any) -> None:
        """Raise a `ValueError` for special tokens in the texts of a request, if they are not ordinary characters."""
        if self.sanitize_control_tokens:
            return
        special = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
        if found := [token for token in special if any(token in text for text in texts)]:
            raise ValueError(
                f"The request has the control token {found[0]!r}: remove it, or set sanitize_control_tokens=True in the "
                "decision config to read it as ordinary characters."
            )


def _refuse_prefixes(name: str, owners: Mapping[Tokens, str]) -> None:
    """Raise a `ValueError` if one option is the beginning of another, which then can never be the likelier one."""
    for form, option in owners.items():
        for end in range(1, len(form)):
            if (shorter := owners.get(form[:end], option)) != option:
                raise ValueError(
                    f"Question {name!r}: option {_shown(shorter)} is the beginning of {_shown(option)}, so it would always be "
                    "at least as likely. Rename one of them, or set score_ends=True in the decision config: then the end of "
                    "an option counts."
                )


def _split_into_rows(by_context: Mapping[Tokens, Sequence[OptionForm]]) -> Iterator[DecisionRow]:
    """Make rows of texts with as many options as one row holds."""
    for context, listed in by_context.items():
        row: list[OptionForm] = []
        width = 0
        for form in sorted(listed, key=lambda form: (form.blank, form.token_ids)):
            if row and width + len(form.token_ids) > MOST_BRANCH_TOKENS:
                yield DecisionRow(context, tuple(row))
                row, width = [], 0
            row.append(form)
            width += len(form.token_ids)
        yield DecisionRow(context, tuple(row))


def _read_json(request: str) -> Any:
    def read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        counts = Counter(name for name, _ in pairs)
        if twice := [name for name, count in counts.items() if count > 1]:
            raise ValueError(
                f"The request has the name {twice[0]!r} twice in one object: every option and question once."
            )
        return dict(pairs)

    try:
        return json.loads(request, object_pairs_hook=read_object)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"The request is {_shown(request)}: expected a dict or its JSON ({error}).") from None


def _too_long(length: int, limit: float, questions: int) -> ValueError:
    asked = "the question" if questions == 1 else f"{questions} questions"
    fewer = "" if questions == 1 else " ask fewer questions at once, set share_state=False,"
    return ValueError(
        f"The state with {asked} has {length} tokens, but the position table holds {limit}: shorten the state,{fewer} or set "
        "truncation=True in the decision config to cut the text around its blanks."
    )


def _text(content: Any) -> str:
    """Write what a request may hold in the place of a text: nothing, a string, or JSON."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    try:
        return json.dumps(content, ensure_ascii=False, default=_plain)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"The request holds {_shown(content)}: expected texts, or what JSON can hold ({error})."
        ) from None


def _plain(value: Any) -> Any:
    """Turn a mapping into a dict, and a number of NumPy or torch into one of Python."""
    if isinstance(value, Mapping):
        return dict(value)
    if getattr(value, "ndim", None) == 0 and isinstance(number := value.item(), bool | int | float):
        return number
    raise TypeError(f"{_shown(value)} is a {type(value).__name__}")


def _describe(question: Question) -> str:
    """Write the descriptions of the options, sorted by name: `"angry: Insults; calm: A polite message."`"""
    if question.type == "score":  # the descriptions are the options
        return ""
    described = sorted(
        f"{label}: {_text(description)}"
        for label, description in zip(question.labels, question.descriptions, strict=True)
        if description
    )
    return "; ".join(described) + "." * bool(described)


def _shown(value: Any) -> str:
    text = repr(value[:81] if isinstance(value, str | list) else value)
    return text if len(text) <= 80 else f"{text[:80]}..."


__all__ = ["AskedQuestion", "DecisionRow", "GLMDecisionConfig", "OptionForm"]

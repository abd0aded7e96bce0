"""Describe what the answers of blanks may be."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce

import torch

from ..tokenization import BlankText, GLMTokenizer
from ..tokenization.blanks import answer_forms, decode_piece, read_given
from .automata import (
    AnswerAutomaton,
    Automata,
    ChoiceAutomaton,
    Prefix,
    forbidden_words_pattern,
)


@dataclass(frozen=True, kw_only=True)
class BlankConstraint:
    """
    Describe what the answer of a blank may be. All conditions hold at the same time.

    Example:

    ```python
    >>> year = BlankConstraint(regex="(19|20)[0-9]{2}")
    >>> fill_blanks(model, tokenizer, "It was built in [MASK].", constraints=year)
    ```

    Args:
        choices: A closed set of answers. One without white space in front means the word behind a space as well as the
            word glued to what stands before: the likelier one counts. One with white space in front is literal.
        regex: A regular expression that the whole answer must match, such as `[0-9]{4}`, in the syntax of Rust's regex
            crate (no look-around, no backreferences). Needs `outlines-core`.
        min_new_tokens, max_new_tokens: The least and greatest number of tokens, without the end of the piece.
        forbidden_words: Whole words that the answer must not contain, in any case: "he" does not forbid "the".
        answer: The answer itself. It becomes part of the text as you write it, so the model reads it when it fills the
            other blanks. White space in front of it replaces that of the text.

    Raises:
        ValueError: If conditions contradict each other.
    """

    choices: Sequence[str] | None = None
    regex: str | None = None
    min_new_tokens: int = 0
    max_new_tokens: int | None = None
    forbidden_words: Sequence[str] = ()
    answer: str | None = None

    def __post_init__(self):
        if isinstance(self.choices, str) or isinstance(self.forbidden_words, str):
            raise ValueError(
                f"choices={self.choices!r}, forbidden_words={self.forbidden_words!r}: expected lists of strings."
            )
        for name in ("choices", "forbidden_words"):
            if (given := getattr(self, name)) is None:
                continue
            if not isinstance(given, list | tuple):  # an array, for example, cannot be compared
                given = tuple(given)
                object.__setattr__(self, name, given)
            if wrong := [word for word in given if not isinstance(word, str)]:
                raise ValueError(f"{name} has {wrong[0]!r} of type {type(wrong[0]).__name__}: expected strings.")
        if self.choices is not None and not self.choices:
            raise ValueError("choices is empty: give at least one, or None for any answer.")
        if self.answer is not None and not isinstance(self.answer, str):
            raise ValueError(f"answer={self.answer!r} is of type {type(self.answer).__name__}: expected a string.")
        if "" in self.forbidden_words:
            raise ValueError("forbidden_words has an empty word: leave it out, or use min_new_tokens=1.")
        if self.min_new_tokens < 0:
            raise ValueError(f"min_new_tokens={self.min_new_tokens}: expected 0 or more.")
        if self.max_new_tokens is not None and self.max_new_tokens < max(1, self.min_new_tokens):
            raise ValueError(
                f"max_new_tokens={self.max_new_tokens} must be at least 1, and min_new_tokens={self.min_new_tokens}."
            )
        if self.answer is not None and replace(self, answer=None) != BlankConstraint():
            raise ValueError(f"answer={self.answer!r} is given: leave the other conditions of that blank out.")
        if self.regex is not None:
            try:
                re.compile(self.regex)
            except re.error as error:
                raise ValueError(f"regex={self.regex!r} is not a regular expression: {error}.") from error

    def accepts(self, answer: str) -> bool:
        """Whether an answer meets all conditions but those on its number of tokens."""
        if self.answer is not None:
            return answer == self.answer
        return (
            (self.choices is None or answer in {choice.strip() for choice in self.choices})
            and (self.regex is None or re.fullmatch(self.regex, answer) is not None)
            and not (self.forbidden_words and forbidden_words_pattern(self.forbidden_words).search(answer))
        )


class BlankRules:
    """
    Apply a constraint to a blank of a text.

    Args:
        constraint: The constraint.
        automata: The automata of the vocabulary.
        longest: The most tokens of an answer, if the constraint does not allow fewer.

    Attributes:
        choices: The forms of each choice, or None if the answer is not from a closed set; see `answer_forms`.

    Raises:
        ValueError: If no answer can meet the constraint.
    """

    def __init__(
        self,
        constraint: BlankConstraint,
        automata: Automata,
        longest: int,
    ):
        self.constraint = constraint
        self.longest = min(longest, constraint.max_new_tokens or longest)
        self.choices: dict[str, list[Prefix]] | None = None
        self._vocab_size = automata.vocab_size
        self._automata: list[AnswerAutomaton] = [automata.length(constraint.min_new_tokens)]
        if constraint.choices is not None:
            self.choices = self._encode_choices(automata.tokenizer)
            forms = [form for of_choice in self.choices.values() for form in of_choice]
            self._automata = [ChoiceAutomaton(forms, automata.vocab_size)]
            return
        if constraint.regex is not None:
            regex = automata.regex(constraint.regex)
            if regex.shortest() > self.longest:
                raise ValueError(
                    f"regex={constraint.regex!r} asks for at least {regex.shortest()} tokens, but the answer may have at most "
                    f"{self.longest}: raise max_new_tokens."
                )
            self._automata.append(regex)
        if constraint.forbidden_words:
            self._automata.append(automata.without(tuple(constraint.forbidden_words)))

    def _encode_choices(self, tokenizer: GLMTokenizer) -> dict[str, list[Prefix]]:
        fitting: dict[str, list[Prefix]] = {}
        wanted = self.constraint.choices or ()
        for choice in wanted:
            answer = choice.strip()
            if not self.constraint.accepts(answer):
                continue
            for form in answer_forms(tokenizer, choice):
                if self.constraint.min_new_tokens <= len(form) <= self.longest:
                    forms = fitting.setdefault(answer, [])
                    forms += [form] if form not in forms else []
        if not fitting:
            raise ValueError(
                f"None of the choices {list(wanted)} has {self.constraint.min_new_tokens} to {self.longest} tokens and meets the "
                "other conditions."
            )
        return fitting

    def allowed(self, prefix: Prefix) -> torch.Tensor:
        """Find the tokens that may follow, (vocabulary,) bool."""
        room = self.longest - len(prefix)
        if room <= 0:
            return torch.zeros(self._vocab_size, dtype=torch.bool)
        return reduce(torch.logical_and, (automaton.allowed(prefix, room) for automaton in self._automata))

    def read(self, tokenizer: GLMTokenizer, piece: Sequence[int]) -> BlankText | None:
        """Decode a piece into an answer. Returns None if it breaks the constraint."""
        if self.choices is not None:  # the words as the caller wrote them
            found = next((choice for choice, forms in self.choices.items() if tuple(piece) in forms), None)
            return None if found is None else read_given(tokenizer, found, piece)
        answer = decode_piece(tokenizer, piece)
        fits = self.constraint.min_new_tokens <= len(piece) <= self.longest
        return answer if fits and self.constraint.accepts(answer) else None

    def may_end(self, prefix: Prefix) -> bool:
        """Whether the answer may end here."""
        return all(automaton.may_end(prefix) for automaton in self._automata)

"""Describe what the answer of a blank may be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from ..tokenization import BlankText
from ..utils.numbers import check_whole_number, shorten
from ..utils.rows import plain_text
from .byte_table import check_syntax, compile_bytes
from .forbidden_words import ForbiddenWords
from .grammar import Grammar, accepts, read_grammar, read_schema


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
        choices: A closed set of answers, in any order: a list, generator, array or set. One without white space in front means the word behind a space as well as the
            word glued to what stands before: the likelier one counts. One with white space in front is literal.
        regex: A regular expression that the whole answer must match, such as `[0-9]{4}`, in the syntax of Rust's regex
            crate (no look-around, no backreferences). Needs `outlines-core`.
        json_schema: A JSON schema that the answer must follow, as a dict or as JSON. `json.loads` reads the answer. Kept as
            JSON. Needs `llguidance`.
        grammar: A context-free grammar that the whole answer must match, in the syntax of Lark, such as
            `start: /[0-9]+/ ("+" /[0-9]+/)*`. Needs `llguidance`.
        min_new_tokens, max_new_tokens: The least and greatest number of tokens, without the end of the piece.
        forbidden_words: Whole words that the answer must not contain, in any case: "he" does not forbid "the".
        answer: The answer itself. It becomes part of the text as you write it, so the model reads it when it fills the
            other blanks. White space in front of it replaces that of the text.

    Raises:
        ValueError: If conditions contradict each other, or if a pattern, a schema or a grammar cannot be read.
        ImportError: If a schema or a grammar needs `llguidance`, and it is not installed.
    """

    choices: Sequence[str] | None = None
    regex: str | None = None
    json_schema: Mapping[str, Any] | str | None = None
    grammar: str | None = None
    min_new_tokens: int = 0
    max_new_tokens: int | None = None
    forbidden_words: Sequence[str] = ()
    answer: str | None = None

    def __post_init__(self):
        if self.forbidden_words is None:
            object.__setattr__(self, "forbidden_words", ())  # the dataclass is frozen
        for name in ("choices", "forbidden_words"):
            if (given := getattr(self, name)) is not None:
                object.__setattr__(self, name, _read_words(name, given))
        for name, least in (("min_new_tokens", 0), ("max_new_tokens", 1)):
            if (number := getattr(self, name)) is not None or name == "min_new_tokens":
                object.__setattr__(self, name, check_whole_number(name, number, least=least))
        if self.choices is not None and not self.choices:
            raise ValueError("choices is empty: give at least one, or None for any answer.")
        if self.answer is not None and not isinstance(self.answer, str):
            raise ValueError(f"answer={self.answer!r} is of type {type(self.answer).__name__}: expected a string.")
        if "" in self.forbidden_words:
            raise ValueError("forbidden_words has an empty word: leave it out, or use min_new_tokens=1.")
        if self.max_new_tokens is not None and self.max_new_tokens < self.min_new_tokens:
            raise ValueError(
                f"max_new_tokens={self.max_new_tokens} is below min_new_tokens={self.min_new_tokens}: raise it."
            )
        if self.answer is not None and replace(self, answer=None) != BlankConstraint():
            raise ValueError(f"answer={self.answer!r} is given: leave the other conditions of that blank out.")
        if self.regex is not None:
            if not isinstance(self.regex, str):
                raise ValueError(
                    f"regex={self.regex!r} is of type {type(self.regex).__name__}: expected a string, such as '[0-9]{{4}}'."
                )
            check_syntax(self.regex)
        if self.json_schema is not None:  # kept as text, because constraints are hashed
            object.__setattr__(self, "json_schema", read_schema(self.json_schema).text)
        if self.grammar is not None:
            read_grammar(self.grammar)

    @cached_property
    def _answers(self) -> frozenset[str]:
        """The choices without white space around them."""
        return frozenset(str(choice).strip() for choice in self.choices or ())

    @cached_property
    def grammars(self) -> tuple[Grammar, ...]:
        """The schema and the grammar, if they are given."""
        schema = () if self.json_schema is None else (read_schema(self.json_schema),)
        return (*schema, *(() if self.grammar is None else (read_grammar(self.grammar),)))

    @cached_property
    def _forbidden(self) -> ForbiddenWords:
        return ForbiddenWords(self.forbidden_words)

    def accepts(self, answer: str) -> bool:
        """Return whether an answer meets all conditions but those on its tokens. Words may have white space around them."""
        if self.answer is not None:
            return answer.strip() == self.answer.strip()
        return (
            (self.choices is None or answer.strip() in self._answers)
            and (self.regex is None or compile_bytes(self.regex).accepts(_literal(answer)))
            and all(accepts(grammar, _literal(answer)) for grammar in self.grammars)
            and answer not in self._forbidden
        )


def _read_words(name: str, given: Any) -> tuple[str, ...]:
    """Read strings in any form. Sets have no order of their own, so their strings are sorted."""
    try:
        if (
            isinstance(given, str | bytes | Mapping)
            or getattr(given, "ndim", 1) != 1
            or hasattr(type(given), "iter_rows")
        ):
            raise TypeError  # a table would give the names of its columns
        words = tuple(given)
    except TypeError:
        raise ValueError(
            f"{name}={shorten(given)} is of type {type(given).__name__}: expected a list of strings."
        ) from None
    if wrong := [word for word in words if not isinstance(word, str)]:
        raise ValueError(f"{name} has {shorten(wrong[0])} of type {type(wrong[0]).__name__}: expected strings.")
    words = tuple(map(plain_text, words))
    return tuple(sorted(words)) if isinstance(given, set | frozenset) else words


def _literal(answer: str) -> str:
    """Write an answer with the white space that its ids say."""
    return answer.literal if isinstance(answer, BlankText) else answer

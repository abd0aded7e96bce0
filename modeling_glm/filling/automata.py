"""
Describe what an answer may be as automata over its tokens.

Given the tokens so far, an automaton says which tokens may follow and whether the answer may end.
"""

import functools
import math
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

import torch

from ..tokenization import GLMTokenizer
from ..tokenization.token_bytes import token_bytes

if TYPE_CHECKING:
    from outlines_core import Index

Prefix = tuple[int, ...]
INSTALL_REGEX = "pip install 'modeling-glm[constraints]'"


class AnswerAutomaton(Protocol):
    """Say which tokens may follow a prefix: the tokens of the answer so far, without the start of the piece."""

    def allowed(self, prefix: Prefix, room: int) -> torch.Tensor:
        """Find the tokens that may follow if `room` more tokens fit, (vocabulary,) bool."""

    def may_end(self, prefix: Prefix) -> bool:
        """Whether the answer may end here."""


class LengthAutomaton:
    """Accept answers with a minimum number of tokens and without special tokens."""

    def __init__(self, tokenizer: GLMTokenizer, vocab_size: int, least: int):
        self.least = least
        self._words = torch.ones(vocab_size, dtype=torch.bool)
        self._words[tokenizer.all_special_ids] = False
        self._words[len(tokenizer) :] = False  # the embedding may have more rows than the vocabulary has tokens

    def allowed(self, prefix: Prefix, room: int) -> torch.Tensor:
        return self._words

    def may_end(self, prefix: Prefix) -> bool:
        return len(prefix) >= self.least


class ChoiceAutomaton:
    """
    Accept the answers of a closed set, as a trie of their tokens.

        answers [4 5] [4 6] -> after (): {4}, after (4): {5, 6}, ends after (4, 5) and (4, 6)
    """

    def __init__(self, choices: Iterable[Sequence[int]], vocab_size: int):
        self._vocab_size = vocab_size
        self._ends: set[Prefix] = set()
        self._following: dict[Prefix, set[int]] = {}
        for choice in map(tuple, choices):
            self._ends.add(choice)
            for length, token_id in enumerate(choice):
                self._following.setdefault(choice[:length], set()).add(token_id)

    def allowed(self, prefix: Prefix, room: int) -> torch.Tensor:
        return _mask(self._following.get(prefix, ()), self._vocab_size)

    def may_end(self, prefix: Prefix) -> bool:
        return prefix in self._ends


class RegexAutomaton:
    """Accept answers that a regular expression matches completely. A space may come first."""

    def __init__(self, tokenizer: GLMTokenizer, pattern: str, vocab_size: int):
        self._vocab_size = vocab_size
        self._index = _regex_index(tokenizer, pattern)
        self._states: dict[Prefix, int | None] = {(): self._index.get_initial_state()}
        self._masks: dict[tuple[int, int], torch.Tensor] = {}
        self._distances = _distances(self._index.get_transitions(), self._index.get_final_states())
        self._longest = max(self._distances.values())

    def allowed(self, prefix: Prefix, room: int) -> torch.Tensor:
        state = self._state(prefix)
        if state is None:
            return _mask((), self._vocab_size)
        key = state, min(room, self._longest + 1)  # more room than the longest way to an end changes nothing
        if key not in self._masks:
            tokens = [
                token_id
                for token_id in self._tokens(state)
                if self._distances.get(self._index.get_next_state(state, token_id), math.inf) <= room - 1
            ]
            self._masks[key] = _mask(tokens, self._vocab_size)
        return self._masks[key]

    def may_end(self, prefix: Prefix) -> bool:
        state = self._state(prefix)
        return state is not None and self._index.is_final_state(state)

    def shortest(self) -> float:
        """The number of tokens of the shortest answer."""
        return self._distances.get(self._index.get_initial_state(), math.inf)

    def _tokens(self, state: int) -> list[int]:
        return [t for t in self._index.get_allowed_tokens(state) if t < self._vocab_size]  # without _END

    def _state(self, prefix: Prefix) -> int | None:
        if prefix not in self._states:
            before = self._state(prefix[:-1])
            self._states[prefix] = None if before is None else self._index.get_next_state(before, prefix[-1])
        return self._states[prefix]


class ForbiddenWordsAutomaton:
    """Accept answers without certain words, in any case and in any split into tokens."""

    def __init__(self, tokenizer: GLMTokenizer, forbidden: Sequence[str], vocab_size: int):
        self._texts = {token_id: text.decode("utf-8", "replace") for token_id, text in token_bytes(tokenizer).items()}
        self._vocab_size = vocab_size
        self._words = [word.casefold() for word in forbidden]
        self._found = forbidden_words_pattern(forbidden)
        self._masks: dict[str, torch.Tensor] = {}

    def allowed(self, prefix: Prefix, room: int) -> torch.Tensor:
        tail = self._tail(prefix)
        if tail not in self._masks:
            mask = torch.ones(self._vocab_size, dtype=torch.bool)
            for token_id, text in self._texts.items():
                # A word at the end may go on, as "the" in "then": only a complete word is forbidden.
                whole = tail + text
                if any(match.end() < len(whole) for match in self._found.finditer(whole)):
                    mask[token_id] = False
            self._masks[tail] = mask
        return self._masks[tail]

    def may_end(self, prefix: Prefix) -> bool:
        return self._found.search(self._tail(prefix)) is None

    def _tail(self, prefix: Prefix) -> str:
        """Find the end of the text that may still become a forbidden word, or else its last character."""
        text = "".join(self._texts.get(token_id, "") for token_id in prefix)
        for start in range(max(0, len(text) - max(map(len, self._words), default=0)), len(text)):
            inside = start > 0 and re.match(r"\w", text[start - 1]) and re.match(r"\w", text[start])
            if not inside and any(word.startswith(text[start:].casefold()) for word in self._words):
                return text[start:]
        return text[-1:]


class Automata:
    """Make the automata of a vocabulary. Blanks with the same constraint share one automaton and its caches."""

    def __init__(self, tokenizer: GLMTokenizer, vocab_size: int):
        self.tokenizer = tokenizer
        self.vocab_size = vocab_size
        self.length = functools.cache(lambda least: LengthAutomaton(tokenizer, vocab_size, least))
        self.regex = functools.cache(lambda pattern: RegexAutomaton(tokenizer, pattern, vocab_size))
        self.without = functools.cache(lambda words: ForbiddenWordsAutomaton(tokenizer, words, vocab_size))


def forbidden_words_pattern(words: Sequence[str]) -> re.Pattern[str]:
    """Compile a pattern that finds whole words in any case."""
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, words))})(?!\w)", re.IGNORECASE)


_END = (1 << 32) - 1  # stands for the end of an answer in the index of a regular expression


def _regex_index(tokenizer: GLMTokenizer, pattern: str) -> "Index":
    try:
        from outlines_core import Index, Vocabulary
    except ImportError as error:
        raise ImportError(f"Regular expressions for blanks need outlines-core: {INSTALL_REGEX}.") from error
    ids: dict[bytes, list[int]] = {}
    for token_id, text in token_bytes(tokenizer).items():
        ids.setdefault(text, []).append(token_id)
    try:
        return Index(f" ?(?:{pattern})", Vocabulary(_END, ids))
    except Exception as error:  # the library has no error class of its own
        raise ValueError(
            f"The vocabulary cannot form an answer for regex={pattern!r}: {error}. Expected the syntax of Rust's "
            "regex crate, which has neither look-around nor backreferences."
        ) from error


def _distances(transitions: dict[int, dict[int, int]], finals: Iterable[int]) -> dict[int, int]:
    """Find the least number of tokens from each state to an end, by a search back from the ends."""
    before: dict[int, set[int]] = {}
    for state, following in transitions.items():
        for after in set(following.values()):
            before.setdefault(after, set()).add(state)
    distances = dict.fromkeys(finals, 0)
    edge, distance = set(distances), 0
    while edge:
        distance += 1
        edge = {state for after in edge for state in before.get(after, ()) if state not in distances}
        distances.update(dict.fromkeys(edge, distance))
    return distances


def _mask(token_ids: Iterable[int], vocab_size: int) -> torch.Tensor:
    mask = torch.zeros(vocab_size, dtype=torch.bool)
    mask[list(token_ids)] = True
    return mask

"""Follow a regular expression token by token."""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch

from ..tokenization import GLMTokenizer
from ..tokenization.token_bytes import token_bytes
from .automaton import Prefix, token_mask

if TYPE_CHECKING:
    from outlines_core import Index

INSTALL_REGEX = "pip install 'modeling-glm[constraints]'"


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
            return token_mask((), self._vocab_size)
        key = state, min(room, self._longest + 1)  # more room than the longest way to an end changes nothing
        if key not in self._masks:
            tokens = [
                token_id
                for token_id in self._tokens(state)
                if self._distances.get(self._index.get_next_state(state, token_id), math.inf) <= room - 1
            ]
            self._masks[key] = token_mask(tokens, self._vocab_size)
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

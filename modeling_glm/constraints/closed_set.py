"""Follow the answers of a closed set token by token."""

from collections.abc import Iterable, Sequence

import torch

from .automaton import Prefix, token_mask


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
        return token_mask(self._following.get(prefix, ()), self._vocab_size)

    def may_end(self, prefix: Prefix) -> bool:
        return prefix in self._ends

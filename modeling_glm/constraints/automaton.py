"""
Say what an automaton over the tokens of an answer is, and limit the length of answers.

Given the tokens so far, an automaton says which tokens may follow and whether the answer may end.
"""

from collections.abc import Iterable
from typing import Protocol

import torch

from ..tokenization import GLMTokenizer
from ..tokenization.token_bytes import list_special_ids

Prefix = tuple[int, ...]


class AnswerAutomaton(Protocol):
    """Say which tokens may follow a prefix: the tokens of the answer so far, without the start of the piece."""

    def allowed(self, prefix: Prefix, room: int) -> torch.Tensor:
        """Find the tokens that may follow if `room` more tokens fit, (vocabulary,) bool."""

    def may_end(self, prefix: Prefix) -> bool:
        """Return whether the answer may end here."""


class LengthAutomaton:
    """Accept answers with a minimum number of tokens and without special tokens."""

    def __init__(self, tokenizer: GLMTokenizer, vocab_size: int, least: int):
        self.least = least
        self._words = torch.ones(vocab_size, dtype=torch.bool)
        # A vocabulary may have more tokens than the model, until its embedding is resized.
        self._words[[token_id for token_id in list_special_ids(tokenizer) if token_id < vocab_size]] = False
        self._words[len(tokenizer) :] = False  # the embedding may have more rows than the vocabulary has tokens

    def allowed(self, prefix: Prefix, room: int) -> torch.Tensor:
        return self._words

    def may_end(self, prefix: Prefix) -> bool:
        return len(prefix) >= self.least


def token_mask(token_ids: Iterable[int], vocab_size: int) -> torch.Tensor:
    """Mark tokens of the vocabulary, (vocabulary,) bool."""
    mask = torch.zeros(vocab_size, dtype=torch.bool)
    mask[list(token_ids)] = True
    return mask

"""Hold the answers of a closed set, which may have tens of thousands, and follow them token by token."""

import itertools
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import torch

from ..tokenization import GLMTokenizer
from ..tokenization.blanks import forms_of_answers
from ..utils.numbers import shorten
from .automaton import Prefix, token_mask
from .blank_constraint import BlankConstraint

# Beams come back to the same few prefixes. The first one, of which thousands of tokens may follow, is that of every text.
REMEMBERED_PREFIXES = 1024


class ChoiceAutomaton:
    """
    Accept the answers of a closed set: a trie of their tokens, as a sorted list in which answers that share a prefix stand
    together.

        answers [4 5] [4 6] -> after (): {4}, after (4): {5, 6}, ends after (4, 5) and (4, 6)
    """

    def __init__(self, choices: Iterable[Sequence[int]], vocab_size: int):
        self._vocab_size = vocab_size
        self._choices = sorted(set(map(tuple, choices)))
        self._following = lru_cache(REMEMBERED_PREFIXES)(self._find_following)

    def allowed(self, prefix: Prefix, room: int) -> torch.Tensor:
        return token_mask(self._following(prefix), self._vocab_size)

    def may_end(self, prefix: Prefix) -> bool:
        place = bisect_left(self._choices, prefix)
        return place < len(self._choices) and self._choices[place] == prefix

    def _find_following(self, prefix: Prefix) -> tuple[int, ...]:
        """List the tokens that follow a prefix, by a jump from each to the first choice with the next one."""
        length, following = len(prefix), []
        place = bisect_left(self._choices, prefix)
        place += (
            place < len(self._choices) and len(self._choices[place]) == length
        )  # the prefix itself, or another one
        while place < len(self._choices) and self._choices[place][:length] == prefix:
            following.append(self._choices[place][length])
            place = bisect_left(self._choices, (*prefix, following[-1] + 1), place)
        return tuple(following)


class ClosedSet:
    """
    Hold the choices that meet all conditions, and their ids.

    Args:
        tokenizer: A `GLMTokenizer`.
        vocab_size: The number of rows of the embedding.
        constraint: The constraint that has the choices.
        longest: The most tokens of an answer.

    Attributes:
        forms: The ids that each choice can have, by its text without white space around it; see `answer_forms`.
        automaton: Follows the choices token by token.
        longest: The number of tokens of the longest of them.

    Raises:
        ValueError: If no choice meets the conditions.
    """

    def __init__(self, tokenizer: GLMTokenizer, vocab_size: int, constraint: BlankConstraint, longest: int):
        choices, least = constraint.choices or (), constraint.min_new_tokens
        accepted = [choice for choice in choices if constraint.accepts(choice.strip())]
        self.forms: Mapping[str, list[Prefix]] = {}
        for choice, forms in zip(accepted, forms_of_answers(tokenizer, accepted), strict=True):
            for form in forms:
                if least <= len(form) <= longest:
                    of_answer = self.forms.setdefault(choice.strip(), [])
                    of_answer += [form] if form not in of_answer else []
        for choice, of_answer in self.forms.items():
            if (largest := max(itertools.chain(*of_answer), default=0)) >= vocab_size:
                raise ValueError(
                    f"The choice {shorten(choice)} has the token {largest}, but the model has {vocab_size}: call "
                    "model.resize_token_embeddings(len(tokenizer)), or load the tokenizer of the model."
                )
        if not self.forms:
            raise ValueError(
                f"None of the choices {shorten(list(choices))} has {least} to {longest} tokens and meets the other conditions."
            )
        self._answers: dict[Prefix, str] = {}
        for answer, forms in self.forms.items():
            for form in forms:
                self._answers.setdefault(form, answer)
        self.automaton = ChoiceAutomaton(self._answers, vocab_size)
        self.longest = max(map(len, self._answers))

    def find(self, piece: Sequence[int]) -> str | None:
        """Return the choice that a piece is, as the caller wrote it, or None."""
        return self._answers.get(tuple(piece))

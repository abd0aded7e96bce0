"""Apply a constraint to the answers that are generated for a blank."""

from collections.abc import Mapping, Sequence
from functools import reduce

import torch

from ..tokenization import BlankText, GLMTokenizer
from ..tokenization.blanks import decode_piece, read_given
from .automaton import AnswerAutomaton, Prefix
from .blank_constraint import BlankConstraint
from .closed_set import ClosedSet
from .factory import Automata
from .parser_steps import GrammarAutomaton
from .pattern_syntax import show_pattern


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
        self.choices: Mapping[str, list[Prefix]] | None = None
        self._closed_set: ClosedSet | None = None
        self._vocab_size = automata.vocab_size
        self._automata: list[AnswerAutomaton] = [automata.length(constraint.min_new_tokens)]
        self._grammars: list[GrammarAutomaton] = []
        if constraint.choices is not None:
            self._closed_set = automata.closed_set(constraint, self.longest)
            self.choices = self._closed_set.forms
            self.longest = self._closed_set.longest
            self._automata = [self._closed_set.automaton]
            return
        if constraint.min_new_tokens > self.longest:
            raise ValueError(
                f"min_new_tokens={constraint.min_new_tokens}, but the answer may have at most {self.longest} tokens: lower it, "
                "or raise max_new_tokens."
            )
        if constraint.regex is not None:
            regex = automata.regex(constraint.regex)
            self._require_answer(
                regex.shortest(),
                f"regex={show_pattern(constraint.regex)}",
                nothing="the vocabulary cannot form an answer that matches",
                too_long=" asks for at least {} tokens",
            )
            self._automata.append(regex)
        for grammar in constraint.grammars:
            followed = automata.grammar(grammar)
            self._require_answer(
                followed.shortest(),
                str(grammar),
                nothing="no answer was found that the vocabulary can form",
                too_long=": the shortest answer that was found has {} tokens",
            )
            self._grammars.append(followed)
        self._automata += self._grammars
        if constraint.forbidden_words:
            self._automata.append(automata.without(tuple(constraint.forbidden_words)))

    def _require_answer(self, shortest: int | None, name: str, *, nothing: str, too_long: str):
        """Raise a `ValueError` if the vocabulary forms no answer, or only answers that are too long."""
        if shortest is None:
            raise ValueError(
                f"{name}: {nothing}. An answer is the text of tokens, behind a space or glued to what stands before."
            )
        if shortest > self.longest:
            raise ValueError(
                f"{name}{too_long.format(shortest)}, but the answer may have at most {self.longest}: raise max_new_tokens."
            )

    def allowed(self, prefix: Prefix, scores: torch.Tensor | None = None) -> torch.Tensor:
        """
        Find the tokens that may follow, (vocabulary,) bool.

        Args:
            prefix: The tokens so far.
            scores: (vocabulary,) float, the scores of the model. With them, an answer of a grammar ends in time.
        """
        room = self.longest - len(prefix)
        if room <= 0:
            return torch.zeros(self._vocab_size, dtype=torch.bool)
        mask = reduce(torch.logical_and, (automaton.allowed(prefix, room) for automaton in self._automata))
        if scores is not None:
            for grammar in self._grammars:
                mask = grammar.keep_ending(prefix, room, mask, scores)
        return mask

    def read(self, tokenizer: GLMTokenizer, piece: Sequence[int]) -> BlankText | None:
        """Decode a piece into an answer. Returns None if it breaks the constraint."""
        if self._closed_set is not None:  # the words as the caller wrote them
            found = self._closed_set.find(piece)
            return None if found is None else read_given(tokenizer, found, piece)
        answer = decode_piece(tokenizer, piece)
        fits = self.constraint.min_new_tokens <= len(piece) <= self.longest
        return answer if fits and self.constraint.accepts(answer) else None

    def may_end(self, prefix: Prefix) -> bool:
        """Return whether the answer may end here."""
        return all(automaton.may_end(prefix) for automaton in self._automata)

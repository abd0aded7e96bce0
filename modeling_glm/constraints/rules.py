"""Apply a constraint to the answers that are generated for a blank."""

from collections.abc import Sequence
from functools import reduce

import torch

from ..tokenization import BlankText, GLMTokenizer
from ..tokenization.blanks import answer_forms, decode_piece, read_given
from .automaton import AnswerAutomaton, Prefix
from .blank_constraint import BlankConstraint
from .closed_set import ChoiceAutomaton
from .factory import Automata


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

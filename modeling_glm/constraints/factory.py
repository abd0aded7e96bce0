"""Make the automata of a vocabulary, each once."""

import functools

from ..tokenization import BlankText, GLMTokenizer
from ..tokenization.token_bytes import token_bytes
from .automaton import LengthAutomaton
from .blank_constraint import BlankConstraint
from .byte_table import compile_bytes
from .closed_set import ClosedSet
from .forbidden_words import ForbiddenWordsAutomaton
from .grammar import Grammar
from .parser_steps import GrammarAutomaton
from .token_steps import RegexAutomaton, VocabularyBytes

# Closed sets may be large, and texts may have sets of their own.
REMEMBERED_SETS = 16


class Automata:
    """Make the automata of a vocabulary. Blanks with the same constraint share one automaton and its caches."""

    def __init__(self, tokenizer: GLMTokenizer, vocab_size: int):
        self.tokenizer = tokenizer
        self.vocab_size = vocab_size
        self.length = functools.cache(lambda least: LengthAutomaton(tokenizer, vocab_size, least))
        self.regex = functools.cache(self._make_regex)
        self.grammar = functools.cache(self._make_grammar)
        self._closed_set_of_value = functools.lru_cache(REMEMBERED_SETS)(self._make_closed_set)
        self._last_closed_set: tuple[BlankConstraint, int, ClosedSet] | None = None
        self.without = functools.cache(lambda words: ForbiddenWordsAutomaton(tokenizer, words, vocab_size))

    def closed_set(self, constraint: BlankConstraint, longest: int) -> ClosedSet:
        """Make the closed set of a constraint with choices, for answers of at most `longest` tokens."""
        last = self._last_closed_set
        if last is None or last[0] is not constraint or last[1] != longest:  # to hash a large set takes time
            # A `BlankText` equals its string, but has tokens of its own.
            tokens = tuple(choice.token_ids for choice in constraint.choices or () if isinstance(choice, BlankText))
            self._last_closed_set = last = constraint, longest, self._closed_set_of_value(constraint, longest, tokens)
        return last[2]

    def _make_closed_set(self, constraint: BlankConstraint, longest: int, tokens: object) -> ClosedSet:
        return ClosedSet(self.tokenizer, self.vocab_size, constraint, longest)

    def _make_regex(self, pattern: str) -> RegexAutomaton:
        return RegexAutomaton(pattern, compile_bytes(pattern), self._vocabulary)

    def _make_grammar(self, grammar: Grammar) -> GrammarAutomaton:
        return GrammarAutomaton(grammar, self.tokenizer, self._vocabulary)

    @functools.cached_property
    def _vocabulary(self) -> VocabularyBytes:
        return VocabularyBytes(token_bytes(self.tokenizer), self.vocab_size)

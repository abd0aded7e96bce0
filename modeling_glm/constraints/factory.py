"""Make the automata of a vocabulary, each once."""

import functools

from ..tokenization import GLMTokenizer
from .automaton import LengthAutomaton
from .forbidden_words import ForbiddenWordsAutomaton
from .regular_expression import RegexAutomaton


class Automata:
    """Make the automata of a vocabulary. Blanks with the same constraint share one automaton and its caches."""

    def __init__(self, tokenizer: GLMTokenizer, vocab_size: int):
        self.tokenizer = tokenizer
        self.vocab_size = vocab_size
        self.length = functools.cache(lambda least: LengthAutomaton(tokenizer, vocab_size, least))
        self.regex = functools.cache(lambda pattern: RegexAutomaton(tokenizer, pattern, vocab_size))
        self.without = functools.cache(lambda words: ForbiddenWordsAutomaton(tokenizer, words, vocab_size))

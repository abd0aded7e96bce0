"""Follow a JSON schema or a grammar token by token, so that answers end in time."""

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..tokenization import GLMTokenizer
from .automaton import Prefix
from .endings import Ending, EndingSearch
from .grammar import Grammar, make_matcher, vocabulary_tokenizer
from .token_steps import MASK_BYTES, MOST_PREFIXES, VocabularyBytes

if TYPE_CHECKING:
    from llguidance import LLMatcher

MOST_PARSERS = 256
# Endings are asked for while the room is less than this many times the shortest answer.
NEAR = 4
# With this much more room than an ending needs, any token may follow.
SLACK = 16
# The likeliest tokens, for which endings are sought when room gets scarce.
LIKELIEST = 64
MOST_SEARCHES = 16
STATES_OF_SEARCH = 200


class GrammarAutomaton:
    """
    Accept answers that a JSON schema or a grammar describes. A space may come first.

    Args:
        grammar: The schema or grammar.
        tokenizer: A `GLMTokenizer`.
        vocabulary: The bytes of its tokens.
    """

    def __init__(self, grammar: Grammar, tokenizer: GLMTokenizer, vocabulary: VocabularyBytes):
        self._vocabulary = vocabulary
        self._lock = threading.RLock()  # a parser belongs to one thread at a time
        self._start = make_matcher(grammar, vocabulary_tokenizer(tokenizer, vocabulary.vocab_size))
        self._parsers: OrderedDict[Prefix, LLMatcher | None] = OrderedDict()
        self._masks: OrderedDict[Prefix, torch.Tensor] = OrderedDict()
        self._most_masks = max(16, MASK_BYTES // vocabulary.vocab_size)
        self._search = EndingSearch(grammar, vocabulary.texts)
        shortest = self._search.find(b"")
        # To the parser of bytes, a token that a grammar names by its id is another one.
        if shortest is not None and not self._is_answer(shortest.token_ids):
            shortest = None
        self._shortest = shortest
        # Of each prefix the ending, and whether it took a search. It depends on the prefix alone, not on what was asked before.
        self._endings: dict[Prefix, tuple[Ending | None, bool]] = {}

    def allowed(self, prefix: Prefix, room: int) -> torch.Tensor:
        with self._lock:
            mask = self._masks.pop(prefix, None)
            if mask is None:
                mask = self._make_mask(self._parser(prefix))
            self._masks[prefix] = mask  # the last one used stands last
            if len(self._masks) > self._most_masks:
                self._masks.popitem(last=False)
            return mask

    def may_end(self, prefix: Prefix) -> bool:
        with self._lock:
            parser = self._parser(prefix)
            return parser is not None and bool(parser.is_accepting())

    def shortest(self) -> int | None:
        """Return the number of tokens of the shortest answer that was found, or None if there is none."""
        return None if self._shortest is None else len(self._shortest.token_ids)

    def keep_ending(self, prefix: Prefix, room: int, allowed: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """
        Keep tokens after which the answer can still end in time, where room is scarce: of the likeliest, and the first one
        of a known ending.

        Args:
            prefix: The tokens so far.
            room: How many more tokens fit.
            allowed: (vocabulary,) bool, the tokens that may follow.
            scores: (vocabulary,) float, the scores of the model.

        Returns:
            (vocabulary,) bool. Nothing may follow if no ending fits.
        """
        if self._shortest is None or room > NEAR * len(self._shortest.token_ids) + SLACK:
            return allowed
        with self._lock:
            if len(self._endings) > MOST_PREFIXES:
                self._endings = {}
            ending = self._ending(prefix)
            if ending is None or room > len(ending.token_ids) + SLACK:
                return allowed
            kept = torch.zeros_like(allowed)
            if len(ending.token_ids) > room:
                return kept
            for token_id in ending.token_ids[:1]:
                kept[token_id] = allowed[token_id]
            likeliest = scores.float().cpu().masked_fill(~allowed, -torch.inf).topk(min(LIKELIEST, len(allowed)))
            searches = MOST_SEARCHES
            for token_id in likeliest.indices[likeliest.values > -torch.inf].tolist():
                found, was_searched = self._find_ending(ending, prefix, token_id, may_search=searches > 0)
                searches -= was_searched
                kept[token_id] = found is not None and len(found.token_ids) < room
            return kept

    def _is_answer(self, token_ids: Prefix) -> bool:
        steps = [*token_ids, self._vocabulary.vocab_size]
        return bool(self._start.validate_tokens(steps) == len(steps))

    def _ending(self, prefix: Prefix) -> Ending | None:
        """Find an ending behind a prefix, token by token from the last one that is known."""
        known = len(prefix)
        while known and prefix[:known] not in self._endings:
            known -= 1
        ending = self._endings[prefix[:known]][0] if known else self._shortest
        for place in range(known, len(prefix)):
            ending, _ = self._find_ending(ending, prefix[:place], prefix[place])
        return ending

    def _find_ending(
        self, ending: Ending | None, prefix: Prefix, token_id: int, may_search: bool = True
    ) -> tuple[Ending | None, bool]:
        """
        Find an ending behind a token, with that of the prefix or by a search.

        Returns:
            The ending, and whether it took a search. Without leave to search, such an ending is None.
        """
        after = (*prefix, token_id)
        if after not in self._endings:
            found = self._continued(ending, prefix, token_id)
            if found is None and not may_search:
                return None, True
            was_searched = found is None
            self._endings[after] = found or self._search.find(self._text(after), STATES_OF_SEARCH), was_searched
        found, was_searched = self._endings[after]
        return (None if was_searched and not may_search else found), was_searched

    def _continued(self, ending: Ending | None, prefix: Prefix, token_id: int) -> Ending | None:
        """Find an ending behind a token with that of the prefix, which takes no search."""
        text = self._vocabulary.texts.get(token_id)
        if ending is None or text is None:
            return None
        if ending.text.startswith(text):
            left = ending.text[len(text) :]
            token_ids = self._search.cut(left)
            return None if token_ids is None else Ending(left, token_ids)
        parser, tokens = self._parser(prefix), ending.token_ids
        if parser is None:
            return None
        for first in range(len(tokens), -1, -1):
            steps = [token_id, *tokens[first:], self._vocabulary.vocab_size]
            if parser.validate_tokens(steps) == len(steps):
                return Ending(self._text(tokens[first:]), tokens[first:])
        return None

    def _text(self, token_ids: Prefix) -> bytes:
        return b"".join(self._vocabulary.texts.get(token_id, b"") for token_id in token_ids)

    def _parser(self, prefix: Prefix) -> "LLMatcher | None":
        """Return the parser behind a prefix, or None if no answer begins with it."""
        if not prefix:
            return self._start
        if prefix not in self._parsers:
            known = next((prefix[:end] for end in range(len(prefix) - 1, 0, -1) if prefix[:end] in self._parsers), ())
            before, rest = self._parsers[known] if known else self._start, list(prefix[len(known) :])
            parser = None if before is None else before.deep_copy()
            is_text = all(token_id in self._vocabulary.texts for token_id in rest)
            if parser is not None and not (is_text and parser.try_consume_tokens(rest) == len(rest)):
                parser = None
            self._parsers[prefix] = parser
            if len(self._parsers) > MOST_PARSERS:
                self._parsers.popitem(last=False)
        return self._parsers[prefix]

    def _make_mask(self, parser: "LLMatcher | None") -> torch.Tensor:
        size = self._vocabulary.vocab_size
        if parser is None or parser.is_stopped():
            return torch.zeros(size, dtype=torch.bool)
        bits = np.unpackbits(np.frombuffer(parser.compute_bitmask(), np.uint8), bitorder="little")[:size]
        return torch.from_numpy(bits.view(np.bool_))

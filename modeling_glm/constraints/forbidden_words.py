"""Keep whole words out of answers, however they are cut into tokens."""

import re
from collections.abc import Sequence

import torch

from ..tokenization import GLMTokenizer
from ..tokenization.token_bytes import token_bytes
from .automaton import Prefix


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


def forbidden_words_pattern(words: Sequence[str]) -> re.Pattern[str]:
    """Compile a pattern that finds whole words in any case."""
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, words))})(?!\w)", re.IGNORECASE)

"""Where sentences end, in ids of any vocabulary."""

import re

import numpy as np

from ..token_bytes import token_bytes
from ..tokenization_glm import GLMTokenizer

# With what sentences end in the originals (paper section 2.2 says "full sentences" only).
SENTENCE_ENDS = ".?!;:。？！；：…\n"
LINE_BREAK = b"<n>"  # what SentencePiece vocabularies of the originals write for a new line


class SentenceEnds:
    """
    Finds the tokens with which sentences end: those that hold a full stop, question or exclamation mark, semicolon,
    colon, one of their Chinese forms, an ellipsis, or a new line.

    The text of the tokens is what counts. Byte-level vocabularies write a new line as `Ċ` and cut Chinese punctuation
    into bytes, so the originals, which look at the strings of the tokens, never end a sentence there.

        tokens   `ä½ł` `å¥½` `ãĢ` `Ĥ` `Ċ` `A`       (ni hao, full stop in two tokens, new line, A)
        ends      no     no    no   yes  yes  no

    Args:
        tokenizer: Any [`GLMTokenizer`]. Special tokens never end a sentence.
    """

    def __init__(self, tokenizer: GLMTokenizer):
        # A special token stands for a byte that no text holds, so that characters are never joined across it.
        self._bytes = [b"\0"] * (max(tokenizer.get_vocab().values()) + 1)
        for token_id, text in token_bytes(tokenizer).items():
            self._bytes[token_id] = b"\n" if text == LINE_BREAK else text
        texts = [data.decode("utf-8", errors="replace") for data in self._bytes]
        self._whole = np.array([any(end in text for end in SENTENCE_ENDS) for text in texts])
        self._partial = np.array([text.encode() != data for text, data in zip(texts, self._bytes, strict=True)])

    def __call__(self, ids: np.ndarray) -> np.ndarray:
        """
        Args:
            ids: (tokens,) integers below the size of the vocabulary.

        Returns:
            (tokens,) bool.
        """
        ends = self._whole[ids]
        if self._partial[ids].any():
            ends |= self._spread_over_tokens(ids)
        return ends

    def _spread_over_tokens(self, ids: np.ndarray) -> np.ndarray:
        """The same for characters of several tokens: the token with the last byte ends the sentence."""
        parts = [self._bytes[i] for i in ids.tolist()]
        # Latin-1 keeps one character per byte, and the bytes of a UTF-8 character occur nowhere else.
        data = b"".join(parts).decode("latin-1")
        last_bytes = [match.end() - 1 for match in _ENCODED_ENDS.finditer(data)]
        token_stops = np.cumsum([len(part) for part in parts])
        ends = np.zeros(len(ids), dtype=bool)
        ends[np.searchsorted(token_stops, last_bytes, side="right")] = True
        return ends


_ENCODED_ENDS = re.compile("|".join(re.escape(end.encode().decode("latin-1")) for end in SENTENCE_ENDS))

"""Find where sentences end, in ids of any vocabulary."""

import re
from functools import cached_property

import numpy as np

from ...token_bytes import token_bytes
from ...tokenization_glm import GLMTokenizer

# The ends of sentences in the originals (paper section 2.1.2 says "full sentences" only).
SENTENCE_ENDS = ".?!;:。？！；：…\n"
LINE_BREAK = b"<n>"  # a new line in the SentencePiece vocabularies of the originals
_ENCODED_ENDS = re.compile("|".join(re.escape(end.encode().decode("latin-1")) for end in SENTENCE_ENDS))


class SentenceEnds:
    """
    Find the tokens that end a sentence: those with a full stop, question or exclamation mark, semicolon, colon, one of
    their Chinese forms, an ellipsis, or a new line.

    The text of the tokens counts, not their strings. Byte-level vocabularies write a new line as `Ċ` and cut Chinese
    punctuation into bytes, so the originals, which look at the strings, find no end there.

        tokens   `ä½ł` `å¥½` `ãĢ` `Ĥ` `Ċ` `A`       (ni hao, full stop in two tokens, new line, A)
        ends      no     no    no   yes  yes  no

    Args:
        tokenizer: Any `GLMTokenizer`. Special tokens never end a sentence.
    """

    def __init__(self, tokenizer: GLMTokenizer):
        self.tokenizer = tokenizer

    def __call__(self, ids: np.ndarray) -> np.ndarray:
        """
        Find the ends.

        Args:
            ids: (tokens,) integers below the size of the vocabulary.

        Returns:
            (tokens,) bool, True for the last token of each sentence.
        """
        ends = self._whole[ids]
        if self.partial[ids].any():
            ends |= self._find_split_ends(ids)
        return ends

    @cached_property
    def token_texts(self) -> list[bytes]:
        """The bytes of every id. Special tokens get a byte of no text, so that no character is joined across them."""
        found = [b"\0"] * (max(self.tokenizer.get_vocab().values()) + 1)
        for token_id, text in token_bytes(self.tokenizer).items():
            found[token_id] = b"\n" if text == LINE_BREAK else text
        return found

    @cached_property
    def _whole(self) -> np.ndarray:
        """(vocabulary,) bool, True for tokens with a whole end."""
        texts = (data.decode("utf-8", errors="replace") for data in self.token_texts)
        return np.array([any(end in text for end in SENTENCE_ENDS) for text in texts])

    @cached_property
    def partial(self) -> np.ndarray:
        """(vocabulary,) bool, True for tokens with a part of a character."""
        return np.array([data.decode("utf-8", errors="replace").encode() != data for data in self.token_texts])

    @cached_property
    def _sizes(self) -> np.ndarray:
        """(vocabulary,) int64, bytes of each token."""
        return np.array([len(data) for data in self.token_texts])

    def _find_split_ends(self, ids: np.ndarray) -> np.ndarray:
        """Find ends that several tokens make together. The token with the last byte ends the sentence."""
        # Latin-1 keeps one character per byte, and no other character has the bytes of an end.
        data = b"".join([self.token_texts[i] for i in ids.tolist()]).decode("latin-1")
        last_bytes = [match.end() - 1 for match in _ENCODED_ENDS.finditer(data)]
        # Bytes per token [2 1 3] -> stops [2 3 6]; byte 2 lies in token 1.
        token_stops = np.cumsum(self._sizes[ids])
        ends = np.zeros(len(ids), dtype=bool)
        ends[np.searchsorted(token_stops, last_bytes, side="right")] = True
        return ends

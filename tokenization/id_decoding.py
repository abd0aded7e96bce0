"""Turn ids into texts, tokens and the answers of blanks."""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Any

from transformers import PreTrainedTokenizerFast

from .blanks import BlankText, PiecesText, decode_row, fill_with_offsets, split_at_blanks
from .inputs import LARGEST_ID, check_decodable, check_text, read_id, read_id_rows, read_ids, read_several, shown

# The hub's loader of code asks for what is imported, except in `try`. And lists and arrays of ids need no torch.
try:  # noqa: SIM105
    import torch
except ImportError:
    pass


class DecodingMixin(PreTrainedTokenizerFast):
    """Turn ids into texts, tokens and the answers of blanks, and fill the blanks of texts."""

    def _decode(self, token_ids: Any, skip_special_tokens: bool = False, **kwargs: Any) -> str:
        try:
            if not (isinstance(token_ids, bool) or (isinstance(token_ids, list) and bool in map(type, token_ids[:1]))):
                return self._decode_ids(token_ids, skip_special_tokens, **kwargs)
        except (TypeError, OverflowError):
            pass
        check_decodable(token_ids["input_ids"] if isinstance(token_ids, Mapping) else token_ids)
        return self._decode_ids(token_ids, skip_special_tokens, **kwargs)  # the error is another one

    def _decode_ids(self, token_ids: Any, skip_special_tokens: bool, **kwargs: Any) -> str:
        # The ids of pieces alone are answers: one per line, and the prompt that they are added to is filled.
        if skip_special_tokens and isinstance(token_ids, list | tuple) and [*token_ids[:1]] == [self.sop_token_id]:
            return PiecesText(self, token_ids)
        added = {index: token for index, token in self.added_tokens_decoder.items() if self._is_literal(token.content)}
        ids = [token_ids] if isinstance(token_ids, int) else token_ids
        if not added or isinstance(ids, dict) or added.keys().isdisjoint(ids):
            return super()._decode(token_ids, skip_special_tokens=skip_special_tokens, **kwargs)
        decode = partial(super()._decode, skip_special_tokens=skip_special_tokens, **kwargs)
        literals = {
            index: "" if skip_special_tokens and token.special else token.content for index, token in added.items()
        }
        runs = groupby(ids, literals.__contains__)
        return "".join(
            "".join(literals[token_id] for token_id in run) if is_literal else decode(list(run))
            for is_literal, run in runs
        )

    def convert_ids_to_tokens(self, ids: Any, skip_special_tokens: bool = False) -> Any:
        """
        Look up the tokens of ids. An id that no token has gives None.

        Args:
            ids: An id, or a row of them.
            skip_special_tokens: Whether to leave special tokens out.

        Raises:
            ValueError: For what is not a whole number from 0 on.
        """
        single = isinstance(ids, int) or getattr(ids, "ndim", 1) == 0
        checked = [read_id(ids, "ids")] if single else read_ids(ids, "ids")
        if checked and not 0 <= min(checked) <= max(checked) <= LARGEST_ID:
            raise ValueError(f"ids has {min(checked)} to {max(checked)}: expected ids from 0 to {LARGEST_ID}.")
        return super().convert_ids_to_tokens(checked[0] if single else checked, skip_special_tokens)

    def convert_tokens_to_ids(self, tokens: Any) -> Any:
        """
        Look up the ids of tokens. A token that the vocabulary lacks has that of `unk_token`, or None.

        Args:
            tokens: A token, or several.

        Raises:
            ValueError: For what is not a string.
        """
        try:
            return super().convert_tokens_to_ids(tokens)
        except (TypeError, UnicodeEncodeError):
            for place, token in enumerate([tokens] if isinstance(tokens, str) else read_several(tokens, "tokens")):
                check_text(token, f"tokens: token {place}")
            raise

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """Join tokens to a text. Added tokens are shown as they are written."""
        tokens = read_several(tokens, "tokens")
        for place, token in enumerate(tokens):
            check_text(token, f"tokens: token {place}")
        convert = super().convert_tokens_to_string
        literal = {token for token in self.added_tokens_encoder if self._is_literal(token)}
        runs = groupby(tokens, literal.__contains__)
        return "".join("".join(run) if is_literal else convert(list(run)) for is_literal, run in runs)

    def _is_literal(self, token: str) -> bool:
        """
        Return whether a byte-level decoder would take an added token for bytes.

        Such a token has no letters but signs for bytes: "naïve" stands in texts as it is, but its "ï" is also the sign
        of one byte, which is not a letter.
        """
        decoder = self._tokenizer.decoder
        if token.isascii() or decoder is None or b"ByteLevel" not in decoder.__getstate__():
            return False
        return decoder.decode([token]) != token

    def decode_blanks(self, sequences: "torch.Tensor | Sequence[Sequence[int]]") -> list[list[BlankText]]:
        """
        Read the answers from the ids that `generate` returned.

        Args:
            sequences: (rows, seq) int64 ids. Each row is a prompt and the pieces behind it, or only the pieces. Negative
                ids are skipped: Trainer pads predictions with -100.

        Returns:
            For every row the answer of every blank, from left to right. An answer is a string without white space around
            it that also knows the white space which the model wrote, so that `fill` can show it. A blank that the model
            did not reach has an empty string.

        Raises:
            ValueError: For another shape, and for ids that are not whole numbers.
        """
        return [decode_row(self, row) for row in read_id_rows(sequences, "sequences")]

    @property
    def end_token_ids(self) -> set[int]:
        """The ids that end an answer: the end of a piece, the end of a text, and padding."""
        return {self.eop_token_id, self.eos_token_id, self.pad_token_id}

    def fill(self, text: str, answers: Sequence[str]) -> str:
        """
        Fill the blanks of a text, from left to right.

        Answers of `decode_blanks` bring the white space that the model wrote. A string of your own goes behind the white
        space of the text, and one with white space in front replaces it.

        Args:
            text: A text with mask tokens.
            answers: One answer for each blank.

        Raises:
            ValueError: If the number of answers is not the number of blanks.

        Example:

        ```python
        >>> tokenizer.fill("The [MASK] runs [MASK].", ["dog", "home"])
        'The dog runs home.'
        ```
        """
        return self.fill_with_offsets(text, answers)[0]

    def fill_with_offsets(self, text: str, answers: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
        """
        Fill the blanks of a text, and say where the answers stand.

        An empty answer also removes the white space before its blank.

        Returns:
            The filled text, and for every answer the positions of its first character and behind its last one, without
            white space around it.

        Raises:
            ValueError: If the number of answers is not the number of blanks.
        """
        return fill_with_offsets(self, text, read_several(answers, "answers"))

    def fill_some(self, text: str, answers: Mapping[int, str]) -> str:
        """
        Fill some blanks of a text.

        Args:
            text: A text with mask tokens.
            answers: The answer of a blank, by its number, counted from 0.

        Raises:
            ValueError: If the text has no blank of a number.
        """
        if not isinstance(answers, Mapping):
            raise ValueError(f"answers is {shown(answers)}: expected a dict of the number of a blank and its answer.")
        return fill_with_offsets(self, text, answers)[0]

    def split_at_blanks(self, text: str) -> list[str]:
        """Split a text at its blanks. The result has one part more than the text has blanks."""
        return split_at_blanks(self, text)[0]


__all__ = ["DecodingMixin"]

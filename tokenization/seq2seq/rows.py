"""Encode rows of sources and targets, in GLM's own layout and in that of the originals' seq2seq code."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from ..patterns.encoding import Truncation, blank_id
from ..tokenization_glm import GLMTokenizer
from .encoding import SourcePattern, encode_answers, encode_original_source, encode_source
from .layouts import IGNORED, OriginalLayout, count_context, cut_pieces, lay_out, lay_out_as_originals
from .targets import check_filled, read_references

LARGE_INTEGER = int(1e20)  # the library's model_max_length is larger if there is no limit

Row = Mapping[str, Any]


def table_size(tokenizer: GLMTokenizer) -> int | None:
    """Return the size of the position table that the tokenizer knows, None if it knows none."""
    return tokenizer.model_max_length if tokenizer.model_max_length < LARGE_INTEGER else None


class RowEncoder:
    """
    Encode rows in GLM's own layout. A row that is encoded already, with `input_ids` and `labels`, is taken as it is.

    Args:
        tokenizer: A `GLMTokenizer`.
        pattern: The pattern of the source.
        target: The column with the targets.
        max_source_length: Most tokens of Part A. None means the position table.
        max_target_length: Most tokens of Part B. None cuts nothing.
        truncation: Which of the fields that may be cut loses tokens.
    """

    # Whether every blank needs a text, and texts must not be empty.
    strict = True

    def __init__(
        self,
        tokenizer: GLMTokenizer,
        pattern: SourcePattern,
        target: str,
        max_source_length: int | None,
        max_target_length: int | None,
        truncation: Truncation,
    ):
        self.tokenizer, self.pattern, self.target = tokenizer, pattern, target
        self.max_source_length, self.max_target_length = max_source_length, max_target_length
        self.truncation = truncation
        # Read once: each of these attributes of a tokenizer is slow.
        self.sop_id, self.eop_id = tokenizer.sop_token_id, tokenizer.eop_token_id
        self.mask_ids = set(tokenizer.mask_token_ids)
        self._table = table_size(tokenizer)

    def encode_references(self, row: Row) -> list[dict[str, list]]:
        """Encode a row into one sample for each of its references: `input_ids`, `labels`, and what the layout needs."""
        if "input_ids" in row:
            if "labels" not in row:
                raise ValueError("The row has input_ids, but no labels: give what encode returned, or the texts.")
            return [dict(row)]
        context = self.encode_context(row)
        return [self.lay_out(context, self.encode_pieces(row, texts)) for texts in self.read_texts(row, context)]

    def encode_prompt(self, row: Row) -> list[int]:
        """Return the ids of Part A as training shows them; the row needs no target."""
        if "input_ids" not in row:
            return self.encode_context(row)
        context = row["input_ids"][: self.context_length(row)]
        # Without padding that the layout hides.
        shown = row.get("attention_mask", [1] * len(context))
        return [token for token, seen in zip(context, shown, strict=False) if seen]

    def encode_target(self, row: Row) -> list[int]:
        """Return Part B of the first reference as `generate` returns it: `<sop> answer <sop> answer <eop>`."""
        if "input_ids" in row:
            start = self.context_length(row)
            labels = [label for label in row["labels"][start:] if label != IGNORED]
            return [*row["input_ids"][start : start + len(labels)], *labels[-1:]]
        context = self.encode_context(row)
        ids, labels = lay_out((), self.encode_pieces(row, self.read_texts(row, context)[0]), self.sop_id)
        return [*ids, *labels[-1:]]

    def list_references(self, row: Row) -> list[str]:
        """Return the texts of all references, those of several blanks joined by a new line."""
        if "input_ids" in row:
            return ["\n".join(self.tokenizer.decode_blanks([self.encode_target(row)])[0])]
        return ["\n".join(texts) for texts in self.read_texts(row, self.encode_context(row))]

    def read_texts(self, row: Row, context: Sequence[int]) -> list[list[str]]:
        """Return the references of a row, each with one text for every blank of its context."""
        if self.target not in row:
            raise ValueError(
                f"The row has no {self.target!r}, but {sorted(map(str, row))}: say which column has the targets, target=."
            )
        name, one_blank = f"Target {self.target!r}", self.pattern.has_one_blank
        blanks = 1 if one_blank else len(self.find_blanks(context))
        references = read_references(row[self.target], name, blanks, one_blank=one_blank, exact=self.strict)
        if self.strict:
            check_filled(references, name)
        return references

    def encode_pieces(self, row: Row, texts: Sequence[str]) -> list[list[int]]:
        """Return the labels of the pieces that fill the blanks with these texts, cut to length."""
        encoded = self.encode_texts(row, texts)
        return cut_pieces([[*ids, self.eop_id] for ids in encoded], self.max_target_length)

    def find_blanks(self, context: Sequence[int]) -> list[int]:
        """Find the places of the blanks in Part A."""
        return [place for place, token in enumerate(context) if token in self.mask_ids]

    def context_length(self, sample: Row) -> int:
        """Return how many ids of an encoded row are Part A."""
        return count_context(sample["labels"]) if "labels" in sample else len(sample["input_ids"])

    def encode_context(self, row: Row) -> list[int]:
        """Return the ids of Part A."""
        limit = self.max_source_length or self._table
        return encode_source(self.pattern, row, self.tokenizer, limit, self.truncation)

    def encode_texts(self, row: Row, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of the texts that fill the blanks, spaced as the source is around them."""
        encoded = encode_answers(self.pattern, row, texts, self.tokenizer)
        for text, ids in zip(texts, encoded, strict=True):
            if not ids:
                raise ValueError(
                    f"Target {self.target!r} has no tokens in this vocabulary ({text!r}): leave the row out of the data."
                )
            if self.max_target_length is None and self._table is not None and len(ids) + 1 > self._table:
                raise ValueError(
                    f"Target {self.target!r} has {len(ids) + 1} tokens with its start, but the position table ends at "
                    f"{self._table} (tokenizer.model_max_length): set max_target_length to cut it, or leave the row out of "
                    "the data."
                )
        return encoded

    def lay_out(self, context: Sequence[int], pieces: Sequence[Sequence[int]]) -> dict[str, list]:
        """Lay out one sample."""
        ids, labels = lay_out(context, pieces, self.sop_id)
        return {"input_ids": ids, "labels": labels}


class OriginalRowEncoder(RowEncoder):
    """
    Encode rows as the originals' seq2seq code does.

    Args:
        layout: The switches of the layout.
        args, kwargs: As for `RowEncoder`, with both lengths.
    """

    strict = False
    max_source_length: int
    max_target_length: int

    def __init__(self, layout: OriginalLayout, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.layout, self.eos_id = layout, self.tokenizer.eos_token_id
        if not self.pattern.brings_blanks:
            # The originals look for the mask of the pattern. Others may stand in a text.
            self.mask_ids = {blank_id(self.tokenizer, blank) for blank in self.pattern.blanks}

    def encode_context(self, row: Row) -> list[int]:
        """Return the ids of Part A, without its padding."""
        return encode_original_source(
            self.pattern, row, self.tokenizer, self.max_source_length, self.truncation, self.layout
        )

    def encode_prompt(self, row: Row) -> list[int]:
        """Return the ids of Part A with all padding that is read as text; see `RowEncoder.encode_prompt`."""
        if not self.layout.block_positions:
            warnings.warn(
                "The layout has block_positions=False, but generate counts positions within a piece. Before you predict, set "
                "all rows of the model's block_position_embeddings behind row 1 to row 1.",
                stacklevel=4,
            )
        if "input_ids" in row:
            return super().encode_prompt(row)
        context = self.encode_context(row)
        # Hidden padding adds nothing: neither is it seen, nor does it move a blank.
        padding = 0 if self.layout.mask_padding else self.max_source_length - len(context)
        return [*context, *[self.eos_id] * padding]

    def encode_texts(self, row: Row, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of the texts, each behind a space, with the special tokens that are written in them."""
        spaced = [f" {text}" for text in texts]
        return [self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"] for text in spaced]

    def context_length(self, sample: Row) -> int:
        """Return the length of Part A with its padding, which all samples share."""
        return self.max_source_length

    def lay_out(self, context: Sequence[int], pieces: Sequence[Sequence[int]]) -> dict[str, list]:
        """Lay out one sample with all its padding."""
        return lay_out_as_originals(
            context,
            pieces,
            self.find_blanks(context),
            self.layout,
            source_length=self.max_source_length,
            target_length=self.max_target_length,
            eos_token_id=self.eos_id,
            sop_token_id=self.sop_id,
            eop_token_id=self.eop_id,
            several=not self.pattern.has_one_blank,
        )


__all__ = ["OriginalRowEncoder", "RowEncoder", "table_size"]

"""Collate sources and targets into batches."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from transformers.utils import cached_file

from ..inputs import read_number
from ..original_vocabularies import read_json
from ..patterns.encoding import Truncation
from ..patterns.row_errors import tell
from ..saving import write_whole
from ..tokenization_glm import GLMTokenizer
from .batches import packed_batch, pad, unpacked_batch
from .encoding import read_pattern
from .layouts import IGNORED, OriginalLayout
from .rows import OriginalRowEncoder, Row, RowEncoder, table_size

SEQ2SEQ_FILE = "seq2seq.json"
SAVED = ("pattern", "target", "max_source_length", "max_target_length", "truncation")


@dataclass
class DataCollatorForInfillingSeq2Seq:
    """
    Collate sources and targets: a pattern turns a row into a text with blanks, and the targets fill them (paper section
    2.3).

    Use `"[sMASK] Content: {source|shorten}"` to summarise, `"{question} [MASK]. {context|shorten}"` to answer, or any
    other pattern; `modeling_glm.tokenization.patterns.syntax` describes the syntax. White space in front of a blank belongs
    to the target: behind `It was [MASK].` the target `great` has the ids of ` great`.

    Rows are dicts with the columns that the pattern reads, and the target. With a Trainer they need
    `remove_unused_columns=False`. Rows that `encode` returned, also through `datasets.map`, are taken as they are.

    A target is a text, or a list with one text for each blank. Where the pattern has one blank, a list holds several
    references instead. Training makes one sample of each reference. Evaluation shows the source once: its loss and its
    `target_ids` are those of the first reference, and `references` returns all of them for metrics. With several blanks,
    write a list of lists for several references.

    Example:

    ```python
    >>> collator = DataCollatorForInfillingSeq2Seq(tokenizer, "{source|shorten} In short: [sMASK]")
    >>> batch = collator([{"source": "It rained all day.", "target": "Rain."}])
    >>> tokenizer.decode_blanks(batch["input_ids"])
    [['Rain.']]
    ```

    Args:
        tokenizer: A `GLMTokenizer`.
        pattern: The pattern of the source. None is `"{source|shorten} [gMASK]"`, which may cut the source at its end;
            with `[MASK]`, if the vocabulary has no `[gMASK]`.
        target: The column with the targets.
        max_source_length: Most tokens of Part A, with `[CLS]` and the end. A longer source loses tokens of the fields
            marked `|shorten` (at their ends) or `|shorten_start`. None means the tokenizer's `model_max_length`.
        max_target_length: Most tokens of Part B, every `<sop>` with its answer. A longer target is cut and loses its end; of
            several answers the last go first. None cuts nothing, and refuses an answer that the position table has no room for.
        truncation: Which of the marked fields loses tokens: "longest", one by one from the longest, or "last".
        pad_to_multiple_of: Round up the length of the rows to a multiple.
        packing: Whether several samples share a row of a training batch, without seeing each other. True packs rows of
            `max_source_length + max_target_length` tokens, a number packs rows of that many.
        layout: "glm"; or "original" or an `OriginalLayout` for checkpoints that the originals' seq2seq code fine-tuned.
            That needs both lengths.

    Returns:
        Called with rows, int64 tensors `input_ids`, `attention_mask` and `labels` (samples, length). Labels are aligned with
        the inputs, -100 in Part A and in padding. Packed batches and those of the originals' layout have `position_ids`
        (samples, 2, length) too.

    Raises:
        ValueError: For a pattern without a blank or a field, or that reads the targets; for blanks that the vocabulary lacks,
            and lengths beyond the position table. For a row without one of the columns, with an empty source or target,
            with another number of targets than blanks, or that does not fit. The message names the row by its number in
            the batch.
    """

    tokenizer: GLMTokenizer
    pattern: str | None = None
    _: KW_ONLY
    target: str = "target"
    max_source_length: int | None = None
    max_target_length: int | None = None
    truncation: Truncation = "longest"
    pad_to_multiple_of: int | None = None
    packing: bool | int = False
    layout: str | OriginalLayout | Mapping[str, bool] = "glm"

    def __post_init__(self):
        tokenizer = self.tokenizer
        if not hasattr(tokenizer, "decode_blanks"):  # the hub's code has a class of its own
            raise ValueError(f"tokenizer is a {type(tokenizer).__name__}: expected a GLMTokenizer.")
        if self.pattern is None:
            self.pattern = f"{{source|shorten}} {'[MASK]' if tokenizer.gmask_token is None else '[gMASK]'}"
        source = read_pattern(self.pattern, tokenizer)
        if not isinstance(self.target, str) or not self.target:
            raise ValueError(f"target={self.target!r}: expected the name of the column with the targets.")
        if self.target in source.fields:
            raise ValueError(
                f"Pattern {self.pattern!r} reads the column {self.target!r}, which has the targets: the source would show the "
                "answer. Name the other column in the pattern, or in target=."
            )
        self.layout = _read_layout(self.layout)
        for name in ("max_source_length", "max_target_length", "pad_to_multiple_of"):
            if getattr(self, name) is not None:
                setattr(self, name, read_number(getattr(self, name), name, 1))
        if self.truncation not in ("longest", "last"):
            raise ValueError(f"truncation={self.truncation!r}: expected 'longest' or 'last'.")
        settings = (tokenizer, source, self.target, self.max_source_length, self.max_target_length, self.truncation)
        if isinstance(self.layout, OriginalLayout):
            self._check_original()
            self._rows: RowEncoder = OriginalRowEncoder(self.layout, *settings)
        else:
            self._check_lengths()
            self._rows = RowEncoder(*settings)
        self._packed_length = self._read_packing()
        self._pad_id = tokenizer.pad_token_id

    def __call__(self, features: Sequence[Row]) -> dict[str, torch.Tensor]:
        """Make a training batch; see the class."""
        samples = [sample for row in self._each(features, self._rows.encode_references) for sample in row]
        if self._packed_length is None:
            return unpacked_batch(samples, self._pad_id, self.pad_to_multiple_of)
        tokens = (self._pad_id, self.tokenizer.mask_token_ids, self.tokenizer.sop_token_id)
        return packed_batch(samples, *tokens, self._packed_length, self.pad_to_multiple_of)

    @property
    def fields(self) -> set[str]:
        """The names of the columns that the pattern reads."""
        return self._rows.pattern.fields

    def encode(self, row: Row) -> dict[str, list]:
        """
        Encode a row with one reference, for instance in `datasets.map`.

        Returns:
            `input_ids` and `labels`; in the originals' layout also `attention_mask` and `position_ids`.

        Raises:
            ValueError: As the class says, and for a row with several references: `encode_references` returns them all.
        """
        if row and all(isinstance(row.get(field), list) for field in (*self.fields, self.target)):
            raise ValueError(
                "The fields are lists, as of many rows: say datasets.map(collator.encode), without batched=True."
            )
        samples = self.encode_references(row)
        if len(samples) > 1:
            raise ValueError(
                f"The row has {len(samples)} references in {self.target!r}: call encode_references, or make a row of each."
            )
        return samples[0]

    def encode_references(self, row: Row) -> list[dict[str, list]]:
        """Encode a row into one sample for each of its references; see `encode`."""
        return self._rows.encode_references(row)

    def encode_prompt(self, row: Row) -> list[int]:
        """Return the ids of Part A of a row, as `prompts` does for many. The row needs no target."""
        return self._rows.encode_prompt(row)

    def prompts(self, rows: Sequence[Row]) -> dict[str, torch.Tensor]:
        """
        Make the inputs of `generate`: Part A alone, exactly as training shows it. The rows need no target.

        Returns:
            int64 tensors `input_ids` and `attention_mask` (rows, length), padded on the left.
        """
        contexts = self._each(rows, self._rows.encode_prompt)
        shown = [[1] * len(context) for context in contexts]
        return {
            "input_ids": pad(contexts, self._pad_id, side="left", multiple=self.pad_to_multiple_of),
            "attention_mask": pad(shown, 0, side="left", multiple=self.pad_to_multiple_of),
        }

    def targets(self, rows: Sequence[Row]) -> torch.Tensor:
        """
        Return Part B as `generate` returns it: `<sop> answer <sop> answer <eop>`, of the first reference of every row.

        A target that is cut has no end.

        Returns:
            int64 (rows, length), padded with -100 on the right. `tokenizer.decode_blanks` reads it.
        """
        return pad(self._each(rows, self._rows.encode_target), IGNORED)

    def references(self, rows: Sequence[Row]) -> list[list[str]]:
        """
        Return the texts of all references of every row, for metrics. Several blanks are joined by a new line.

        Texts stay as they are written: neither cut nor through the vocabulary. Only of encoded rows the ids are decoded.
        """
        return self._each(rows, self._rows.list_references)

    def evaluation_batch(self, rows: Sequence[Row]) -> dict[str, torch.Tensor]:
        """
        Make a batch for evaluation, which keeps the prompts apart from the targets.

        Returns:
            The training batch of the first reference of every row, never packed; `prompt_ids` and `prompt_attention_mask`
            (rows, length) from `prompts`; and `target_ids` (rows, length) from `targets`.
        """
        samples = self._each(rows, lambda row: self._rows.encode_references(row)[0])
        prompts = self.prompts(samples)  # what stands in front of Part B
        return {
            **unpacked_batch(samples, self._pad_id, self.pad_to_multiple_of),
            "prompt_ids": prompts["input_ids"],
            "prompt_attention_mask": prompts["attention_mask"],
            "target_ids": self.targets(samples),
        }

    def save_pretrained(self, save_directory: str | os.PathLike) -> Path:
        """Write pattern, target, lengths, truncation and layout to `seq2seq.json` in a folder."""
        settings = {name: getattr(self, name) for name in SAVED}
        layout = asdict(self.layout) if isinstance(self.layout, OriginalLayout) else self.layout
        path = Path(save_directory) / SEQ2SEQ_FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps({**settings, "layout": layout}, indent=2, ensure_ascii=False) + "\n")
        return path

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike,
        tokenizer: GLMTokenizer,
        *,
        hub_options: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> "DataCollatorForInfillingSeq2Seq":
        """
        Read `seq2seq.json` from a folder or a repository of the hub.

        Args:
            pretrained_model_name_or_path: The folder or the repository.
            tokenizer: A `GLMTokenizer`.
            hub_options: As for the library's `from_pretrained` (`revision`, `token`, ...).
            settings: Arguments of the class, which come before those of the file.

        Raises:
            OSError: If there is no such file.
            ValueError: If it is not JSON, or does not describe a collator.
        """
        path = cached_file(str(pretrained_model_name_or_path), SEQ2SEQ_FILE, **(hub_options or {}))
        stored = read_json(str(path))
        if not isinstance(stored, dict):
            raise ValueError(
                f"{path} holds a {type(stored).__name__}: expected the settings that save_pretrained writes."
            )
        if unknown := sorted(set(stored) - {*SAVED, "layout"}):
            raise ValueError(f"{path} has the unknown settings {unknown}: expected {[*SAVED, 'layout']}.")
        return cls(tokenizer, **{**stored, **settings})

    def _each(self, rows: Sequence[Row], read: Any) -> list[Any]:
        """Read every row. Raises a `ValueError` that names the first that cannot be read, and for no rows."""
        if len(rows) == 0:
            raise ValueError("The batch has no rows: give at least one.")
        found = []
        for number, row in enumerate(rows):
            if not isinstance(row, Mapping):
                raise ValueError(
                    f"Example {number} of the batch is a {type(row).__name__}: expected a dict of columns."
                )
            try:
                found.append(read(row))
            except ValueError as error:
                raise tell(number, row, error, self.fields) from error
        return found

    def _check_original(self):
        if self.max_source_length is None or self.max_target_length is None:
            raise ValueError(
                "The originals' layout pads both parts to their lengths: give max_source_length and max_target_length, as "
                "the checkpoint was fine-tuned with (--src-seq-length and --tgt-seq-length)."
            )
        if self.packing:
            raise ValueError("The originals' layout pads every row: packing=True has no use with it.")

    def _check_lengths(self):
        table = table_size(self.tokenizer)
        for name in ("max_source_length", "max_target_length"):
            length = getattr(self, name)
            if length is not None and table is not None and length > table:
                raise ValueError(
                    f"{name}={length}, but the position table ends at {table} (tokenizer.model_max_length): give at "
                    "most that, or take a model with a longer table. A model whose table you made longer needs a tokenizer with the same model_max_length."
                )

    def _read_packing(self) -> int | None:
        if self.packing is False:
            return None
        if self.packing is not True:
            return read_number(self.packing, "packing", 1)
        table = table_size(self.tokenizer)
        lengths = [self.max_source_length or table, self.max_target_length or table]
        if None in lengths:
            raise ValueError("packing=True packs rows of max_source_length + max_target_length tokens: give both.")
        return sum(lengths)  # type: ignore[arg-type]


def _read_layout(layout: Any) -> str | OriginalLayout:
    if isinstance(layout, OriginalLayout) or layout == "glm":
        return layout
    if layout == "original":
        return OriginalLayout()
    known = [field.name for field in fields(OriginalLayout)]
    if isinstance(layout, Mapping) and set(layout) <= set(known) and all(type(on) is bool for on in layout.values()):
        return OriginalLayout(**layout)
    raise ValueError(f"layout={layout!r}: expected 'glm', 'original', or an OriginalLayout ({', '.join(known)}).")


__all__ = ["SEQ2SEQ_FILE", "DataCollatorForInfillingSeq2Seq"]

"""Turn texts into ids: what stands around them, how they are cut and padded."""

from collections.abc import Sequence
from typing import Any

from tokenizers import Encoding, Tokenizer, processors
from transformers import BatchEncoding, PreTrainedTokenizerFast
from transformers.tokenization_utils_base import TruncationStrategy
from transformers.utils import PaddingStrategy, TensorType

from .cutting import keep_around_blanks, take_tokens
from .inputs import TextRow, check_lengths, check_padding, check_texts, read_number, read_texts

# Which fields of a `BatchEncoding` the caller wants beside the ids.
RETURNED_FIELDS = (
    *("return_token_type_ids", "return_attention_mask", "return_special_tokens_mask"),
    *("return_offsets_mapping", "return_length"),
)


def _may_end_with(row: TextRow, token: str) -> bool:
    """Return whether the text of a row, or its pair, may end with a token. A text can be a list of words."""
    last = row
    while isinstance(last, list | tuple) and len(last):
        last = last[-1]
    return isinstance(last, str) and last.rstrip().endswith(token)


class EncodingMixin(PreTrainedTokenizerFast):
    """Turn texts into ids. Texts that end with [gMASK] stay open, and texts are cut around their blanks."""

    def _get_padding_truncation_strategies(
        self, padding: Any = False, truncation: Any = None, max_length: Any = None, **kwargs: Any
    ) -> Any:
        if max_length is not None:
            max_length = read_number(max_length, "max_length", 0)
        if kwargs.get("pad_to_multiple_of") is not None:
            kwargs["pad_to_multiple_of"] = read_number(kwargs["pad_to_multiple_of"], "pad_to_multiple_of", 1)
        return super()._get_padding_truncation_strategies(padding, truncation, max_length, **kwargs)

    @property
    def backend_tokenizer(self) -> Tokenizer:
        """The tokenizer of the `tokenizers` library. Its truncation and padding are not used; give them to a call."""
        self._copies.may_get_tokens = True
        return self._tokenizer

    def _encode_plus(
        self,
        text: Any,
        text_pair: Any = None,
        add_special_tokens: bool = True,
        padding_strategy: PaddingStrategy = PaddingStrategy.DO_NOT_PAD,
        truncation_strategy: TruncationStrategy = TruncationStrategy.DO_NOT_TRUNCATE,
        max_length: int | None = None,
        stride: int = 0,
        is_split_into_words: bool = False,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_tensors: str | TensorType | None = None,
        return_overflowing_tokens: bool = False,
        split_special_tokens: bool | None = None,
        **kwargs: Any,
    ) -> BatchEncoding:
        if kwargs.get("sanitize_control_tokens"):  # a chat, which the library encodes part by part
            given = {name: value for name, value in locals().items() if name not in ("self", "kwargs", "__class__")}
            library = super()._encode_plus.__func__
            return self._copies.use(
                self._tokenizer, lambda copied: library(self._with_backend(copied), **given, **kwargs)
            )
        single, rows = read_texts(text, text_pair, is_split_into_words)
        split = self.split_special_tokens if split_special_tokens is None else bool(split_special_tokens)
        options = {"add_special_tokens": add_special_tokens, "is_pretokenized": is_split_into_words}
        truncation = None
        if truncation_strategy != TruncationStrategy.DO_NOT_TRUNCATE:
            truncation = self._truncation(truncation_strategy, max_length, stride, rows, add_special_tokens)
        try:
            encodings, is_open = self._encode_rows(rows, split, truncation, options)
        except BaseException as error:
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            check_texts(rows, single, is_split_into_words)
            if truncation is None or isinstance(error, ValueError):
                raise
            raise ValueError(
                f"truncation={truncation['strategy']!r} cannot cut to max_length={max_length}: the text that it cuts is too "
                "short or missing. Use truncation=True, or raise max_length."
            ) from error
        if truncation is not None and not return_overflowing_tokens:
            for number, encoding in enumerate(encodings):
                if self._was_cut_at_blanks(encoding):
                    parts = rows[number] if isinstance(rows[number], tuple) else (rows[number],)
                    whole, _ = self._encode_rows(parts, split, None, {**options, "add_special_tokens": False})
                    kept = self._cut_around_blanks(whole, encoding, number, max_length)
                    template = self._template(closed=self.add_eos_token and not is_open[number])
                    encodings[number] = template.process(*kept, add_special_tokens=add_special_tokens)
        if padding_strategy != PaddingStrategy.DO_NOT_PAD:
            fixed = max_length if padding_strategy == PaddingStrategy.MAX_LENGTH else None
            self._pad_encodings(encodings, fixed, pad_to_multiple_of or 1, padding_side)
        return self._as_batch(encodings, single, max_length, return_tensors, return_overflowing_tokens, **kwargs)

    def _truncation(
        self, strategy: TruncationStrategy, max_length: Any, stride: Any, rows: Sequence[TextRow], special: bool
    ) -> dict[str, Any]:
        """Return the backend's settings of truncation. Raises a ValueError for numbers that leave no room."""
        around = 0
        if special:
            around = self.num_special_tokens_to_add(pair=any(isinstance(row, tuple) for row in rows))
        most = read_number(max_length, "max_length", 0)
        if most < around:
            raise ValueError(
                f"max_length={most}: there are {around} special tokens around a text. Expected at least {around}, or "
                "add_special_tokens=False."
            )
        if read_number(stride, "stride", 0) and stride >= most - around:
            raise ValueError(
                f"stride={stride} with max_length={most} and {around} special tokens: expected less than "
                f"{most - around}, the tokens of a window."
            )
        return {"max_length": most, "stride": stride, "strategy": strategy.value, "direction": self.truncation_side}

    def _encode_rows(
        self, rows: Sequence[TextRow], split: bool, truncation: dict[str, Any] | None, options: dict[str, bool]
    ) -> tuple[list[Encoding], list[bool]]:
        """
        Encode rows of texts, and cut them.

        A text that ends with [gMASK] has no end, and is cut on the left: the model continues it. The backend must know
        that before it cuts, so the two kinds of texts are encoded apart.

        Returns:
            The encodings, and for each row whether it has no end.
        """
        gmask = self._special_tokens_map.get("gmask_token")  # faster than the attribute
        is_open = [gmask is not None and _may_end_with(row, str(gmask)) for row in rows]
        if not any(is_open):
            return self._call_backend(rows, split, truncation, None, options), is_open
        left = None if truncation is None else {**truncation, "direction": "left"}
        opened = [row for row, may in zip(rows, is_open, strict=True) if may]
        found = iter(self._call_backend(opened, split, left, self._template(closed=False), options))
        encodings = [next(found) if may else None for may in is_open]
        # "[gMASK] " ends with a space, and split_special_tokens knows no [gMASK]: such a text has an end after all.
        is_open = [encoding is not None and encoding.ids[-1:] == [self.gmask_token_id] for encoding in encodings]
        closed = [row for row, is_so in zip(rows, is_open, strict=True) if not is_so]
        found = iter(self._call_backend(closed, split, truncation, None, options) if closed else ())
        return [
            encoding if is_so else next(found) for encoding, is_so in zip(encodings, is_open, strict=True)
        ], is_open

    def _call_backend(
        self,
        rows: Sequence[TextRow],
        split: bool,
        truncation: dict[str, Any] | None,
        surroundings: processors.PostProcessor | None,
        options: dict[str, bool],
    ) -> list[Encoding]:
        """Encode with the backend as it is, or with a copy that has these settings."""
        backend = self._tokenizer
        is_plain = truncation is None and surroundings is None and backend.encode_special_tokens == split
        if is_plain and backend.truncation is None and backend.padding is None:
            return backend.encode_batch(rows, **options)

        def encode(copied: Tokenizer) -> list[Encoding]:
            copied.encode_special_tokens = split
            if truncation is None:
                copied.no_truncation()
            else:
                copied.enable_truncation(**truncation)
            if surroundings is not None:
                copied.post_processor = surroundings
            return copied.encode_batch(rows, **options)

        return self._copies.use(backend, encode)

    def _with_backend(self, backend: Tokenizer) -> PreTrainedTokenizerFast:
        """Return a tokenizer of the same settings for one call, which may change them and the backend."""
        tokenizer = object.__new__(type(self))
        tokenizer.__dict__.update(self.__dict__, _tokenizer=backend)
        return tokenizer

    def _was_cut_at_blanks(self, encoding: Encoding) -> bool:
        """Return whether a text was cut that has blanks anywhere."""
        cut_off = encoding.overflowing
        blanks = set(self.mask_token_ids)
        return bool(cut_off) and any(not blanks.isdisjoint(part.ids) for part in (encoding, *cut_off))

    def _cut_around_blanks(
        self, whole: Sequence[Encoding], cut: Encoding, row: int, max_length: int | None
    ) -> list[Encoding]:
        """Cut a text or a pair to the lengths that it was cut to, but around its blanks."""
        kept = []
        for number, encoding in enumerate(whole):
            room = cut.sequence_ids.count(number)
            is_blank = [token_id in self.mask_token_ids for token_id in encoding.ids]
            places = keep_around_blanks(is_blank, room, self.truncation_side)
            if places is None:
                raise ValueError(
                    f"Text {row} has {sum(is_blank)} blanks, but cutting it to max_length={max_length} leaves room for "
                    f"{room} of its tokens: a blank would be lost. Raise max_length, or use fewer blanks."
                )
            kept.append(take_tokens(encoding, places))
        return kept

    def _as_batch(
        self,
        encodings: Sequence[Encoding],
        single: bool,
        max_length: int | None,
        return_tensors: str | TensorType | None,
        return_overflowing_tokens: bool,
        verbose: bool = True,
        **kwargs: Any,
    ) -> BatchEncoding:
        """Collect encodings in the fields that the caller wants, as the base class does."""
        fields = {name: kwargs[name] for name in RETURNED_FIELDS if name in kwargs}
        converted = [
            self._convert_encoding(encoding, return_overflowing_tokens=return_overflowing_tokens, **fields)
            for encoding in encodings
        ]
        data = {name: [values for row, _ in converted for values in row[name]] for name in converted[0][0]}
        if return_overflowing_tokens:
            data["overflow_to_sample_mapping"] = [
                number for number, (_, windows) in enumerate(converted) for _ in windows
            ]
        for ids in data["input_ids"]:
            self._eventual_warn_about_too_long_sequence(ids, max_length, verbose)
        if single and return_tensors is None and not return_overflowing_tokens:
            data = {name: values[0] if isinstance(values[0], list) else values for name, values in data.items()}
        windows = [window for _, windows in converted for window in windows]
        return BatchEncoding(data, windows, tensor_type=return_tensors)

    def _pad_encodings(self, encodings: Sequence[Encoding], fixed: int | None, multiple: int, side: str | None):
        """Pad encodings in place to a fixed length or to the longest, and to a multiple of `multiple`."""
        length = max(map(len, encodings)) if fixed is None else fixed
        length = -(-length // multiple) * multiple  # 9 for a multiple of 4 -> 12
        side = side or self.padding_side
        if side not in ("left", "right"):
            raise ValueError(f"padding_side={side!r}: expected 'left' or 'right'.")
        settings = {
            "direction": side,
            "pad_id": self.pad_token_id,
            "pad_token": self.pad_token,
            "pad_type_id": self.pad_token_type_id,
        }
        for encoding in encodings:
            encoding.pad(length, **settings)

    def pad(
        self,
        encoded_inputs: Any,
        padding: Any = True,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        **kwargs: Any,
    ) -> BatchEncoding:
        """
        Pad rows to one length, as the library does.

        Args:
            encoded_inputs: The rows: a dict with a list for each name, or a list of dicts.
            padding, max_length, pad_to_multiple_of, kwargs: As in the library.

        Raises:
            ValueError: For no rows, rows without ids, and masks of another length than the ids.
        """
        if pad_to_multiple_of is not None:
            pad_to_multiple_of = read_number(pad_to_multiple_of, "pad_to_multiple_of", 1)
        name = self.model_input_names[0]
        try:
            check_lengths(encoded_inputs, name)
            return super().pad(encoded_inputs, padding, max_length, pad_to_multiple_of, **kwargs)
        except (TypeError, AttributeError, KeyError, IndexError, AssertionError, RuntimeError):
            check_padding(encoded_inputs, name)
            raise


__all__ = ["EncodingMixin"]

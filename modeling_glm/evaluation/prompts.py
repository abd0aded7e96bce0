"""
Lay out the requests of lm-evaluation-harness for GLM: a context with one blank, and what is written into it.

The blank is a mask at the end of the context, unless the context has one of its own. `[CLS]` and `<eos>` stand around it:

    bidirectional   [CLS] context [gMASK] <eos> | <sop> continuation
    own blank       [CLS] before [MASK] behind <eos> | <sop> continuation
    unidirectional  [CLS] w1 [gMASK] <eos> | <sop> w2 w3 ... continuation

The white space between context and continuation belongs to the continuation: the mask takes it from the context. A context
that is too long loses its start, but never its blank.
"""

from collections.abc import Sequence
from typing import NamedTuple

from ..tokenization import GLMTokenizer
from ..tokenization.blanks import encode_text, shown_form
from ..utils.numbers import shorten
from .continuations import ContinuationRow
from .texts import encode_plain


class Request(NamedTuple):
    """
    Hold a context and a continuation with the white space where the model writes it.

    Attributes:
        context: The context. Without a blank of its own it has no white space at its end.
        continuation: The continuation. It begins with the white space that was taken from the end of the context.
    """

    context: str
    continuation: str


class EncodedContext(NamedTuple):
    """
    Hold the ids of a context without `[CLS]`.

    Attributes:
        ids: The ids with those of the mask.
        blank: Where the mask stands in them.
        end: The ids behind them, which are never cut off.
    """

    ids: list[int]
    blank: int
    end: list[int]


class ContextEncoder:
    """
    Encode contexts and continuations.

    Args:
        tokenizer: The tokenizer of the model.
        mask_token_id: The mask that is put behind a context.
        read_blanks: Whether a mask that stands in a context is its blank. Otherwise it is a word like others.
        closes: Whether `<eos>` stands behind the mask that is put behind a context.
    """

    def __init__(self, tokenizer: GLMTokenizer, mask_token_id: int, *, read_blanks: bool = True, closes: bool = True):
        self.tokenizer = tokenizer
        self.mask_token_id = mask_token_id
        self.read_blanks = read_blanks
        self.closes = closes

    def has_blank(self, context: str) -> bool:
        """
        Return whether a context has a blank of its own.

        Raises:
            ValueError: For more than one.
        """
        blanks = len(self.tokenizer.split_at_blanks(context)) - 1 if self.read_blanks else 0
        if blanks > 1:
            raise ValueError(
                f"The context {shorten(context)} has {blanks} blanks: expected one that the continuation fills, or none to "
                "write behind the context. If its mask tokens are words, set read_blanks=False."
            )
        return blanks == 1

    def split(self, context: str, continuation: str = "") -> Request:
        """Give the white space at the end of a context to its continuation, unless a blank of the context takes it."""
        if self.has_blank(context):
            return Request(context, continuation)
        begun = context.rstrip()
        return Request(begun, context[len(begun) :] + continuation)

    def encode_contexts(self, contexts: Sequence[str]) -> list[EncodedContext]:
        """Encode contexts that `split` returned. They are encoded together."""
        plain = iter(encode_plain(self.tokenizer, [text for text in contexts if not self.has_blank(text)]))
        return [self._encode_around_blank(t) if self.has_blank(t) else self._continue(next(plain)) for t in contexts]

    def _continue(self, ids: list[int]) -> EncodedContext:
        end = [self.tokenizer.eos_token_id] if self.closes else []
        return EncodedContext([*ids, self.mask_token_id], len(ids), end)

    def _encode_around_blank(self, context: str) -> EncodedContext:
        (encoded,) = encode_text(self.tokenizer, [context])
        masks = set(self.tokenizer.mask_token_ids)
        blank = next(place for place, token_id in enumerate(encoded) if token_id in masks)
        stop = len(encoded) - (encoded[-1] not in masks)  # [gMASK] at the end of a text has no end behind it
        return EncodedContext(encoded[1:stop], blank - 1, encoded[stop:])

    def encode_continuations(self, requests: Sequence[Request]) -> list[list[int]]:
        """
        Encode continuations as they read behind their contexts, or in the blanks of them.

        Raises:
            ValueError: For a continuation without a token.
        """
        # White space in front makes an answer literal, and nothing stands before the first text. Neither needs a look at
        # its context, so they are encoded together.
        alone = [not request.context or request.continuation[:1].isspace() for request in requests]
        texts = [request.continuation for request, is_alone in zip(requests, alone, strict=True) if is_alone]
        encoded = iter(encode_plain(self.tokenizer, texts))
        listed = []
        for request, is_alone in zip(requests, alone, strict=True):
            ids = next(encoded) if is_alone else list(self._encode_behind(*request))
            if not ids:
                raise ValueError(
                    f"The continuation {request.continuation!r} of the context {shorten(request.context)} has no tokens: "
                    "expected a text to score."
                )
            listed.append(ids)
        return listed

    def _encode_behind(self, context: str, continuation: str) -> tuple[int, ...]:
        """Encode a continuation as the text shows it: behind a space, or glued to what stands before."""
        before = self.tokenizer.split_at_blanks(context)[0] if self.has_blank(context) else context
        return shown_form(self.tokenizer, before, continuation)

    def lay_out(
        self,
        context: EncodedContext,
        continuations: Sequence[Sequence[int]],
        *,
        max_length: int,
        unidirectional: bool = False,
    ) -> tuple[ContinuationRow, int]:
        """
        Lay out a context and its continuations for scoring.

        Args:
            context: The context.
            continuations: The ids of its continuations.
            max_length: The most tokens of Part A and the longest continuation together.
            unidirectional: Whether only the first token of the context is read in both directions.

        Returns:
            The row, and how many tokens the context lost.

        Raises:
            ValueError: For a continuation that leaves no room for a context, and for a blank before the end of a context
                that is read unidirectional.
        """
        longest = max(map(len, continuations))
        # The last token of a continuation is only predicted. Its place is that of the start of the piece.
        ids, cut = self._cut(context, max_length - longest)
        if not ids:
            raise ValueError(
                f"A continuation has {longest} tokens, but max_length={max_length} leaves room for "
                f"{max_length - 2 - len(context.end)}. Use loglikelihood_rolling for long texts."
            )
        begin = [self.tokenizer.cls_token_id]
        if not unidirectional:
            return ContinuationRow([*begin, *ids, *context.end], continuations), cut
        if context.blank != len(context.ids) - 1:
            raise ValueError(
                "A context has a blank before its end, but unidirectional=True reads from left to right: put the blank at "
                "the end, or leave unidirectional out."
            )
        first, rest, mask = ids[:1] if len(ids) > 1 else [], ids[1:-1], ids[-1]
        listed = [[*rest, *continuation] for continuation in continuations]
        return ContinuationRow([*begin, *first, mask, *context.end], listed, skip=len(rest)), cut

    def lay_out_prompt(self, context: EncodedContext, *, max_length: int) -> tuple[list[int], int]:
        """Lay out a context as a prompt of `generate`. Returns its ids, and how many tokens it lost."""
        ids, cut = self._cut(context, max_length)
        return [self.tokenizer.cls_token_id, *ids, *context.end], cut

    @staticmethod
    def _cut(context: EncodedContext, room: int) -> tuple[list[int], int]:
        """Cut a context at its start, then behind its blank, so that Part A has at most `room` tokens."""
        room = max(0, room - 1 - len(context.end))
        cut = max(0, len(context.ids) - room)
        start = min(cut, context.blank)
        return context.ids[start : start + room], cut


__all__ = ["ContextEncoder", "EncodedContext", "Request"]

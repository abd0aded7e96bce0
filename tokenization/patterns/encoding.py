"""Compute the ids of filled patterns: blanks, prompt tokens, and texts cut to length."""

from typing import Literal

from transformers import PreTrainedTokenizerBase

from .syntax import BLANKS, Segment

SOFT_TOKEN = "<|soft{}|>"  # prompt tokens that are learned, numbered from 0
Truncation = Literal["longest", "last"]


def encode_context(
    segments: list[Segment],
    tokenizer: PreTrainedTokenizerBase,
    room: int | None,
    truncation: Truncation,
    pattern: str,
    cut_fields: bool = False,
) -> list[int]:
    """
    Return the ids of a filled pattern, with the tokens that open and close a text.

    Args:
        segments: The filled pattern.
        tokenizer: A `GLMTokenizer`.
        room: Most tokens that the context may have, or None for no limit.
        truncation: Where tokens are removed if there are more; see `shorten`.
        pattern: The pattern, for error messages.
        cut_fields: Whether the other fields may be shortened too, if those marked do not suffice.
    """
    encoded, soft = [], 0  # soft counts the prompt tokens so far, which are numbered through the pattern
    for segment in segments:
        if segment.kind == "text":
            encoded.append(tokenize(tokenizer, [segment.text], split_special_tokens=not segment.written)[0])
        elif segment.kind == "mask":
            encoded.append([_blank_id(tokenizer, segment.text)])
        else:
            encoded.append([_soft_id(tokenizer, soft + index) for index in range(segment.count)])
            soft += segment.count
    # A text that ends with [gMASK] continues there: it has no end.
    continues = segments[-1].kind == "mask" and segments[-1].text == "[gMASK]"
    closing = [] if continues else [tokenizer.eos_token_id]
    if room is not None:
        excess = sum(map(len, encoded)) + 1 + len(closing) - room
        marked = [segment.shortenable for segment in segments]
        if cut_fields:
            available = sum(len(ids) for ids, may in zip(encoded, marked, strict=True) if may)
            shorten(encoded, marked, min(excess, available), truncation, pattern)
            excess, marked = excess - available, [not segment.written for segment in segments]
        shorten(encoded, marked, excess, truncation, pattern)
    return [tokenizer.cls_token_id, *(token for ids in encoded for token in ids), *closing]


def shorten(encoded: list[list[int]], shortenable: list[bool], excess: int, truncation: Truncation, pattern: str):
    """
    Remove tokens one by one from the ends of the segments that may be shortened, in place.

    Args:
        encoded: The ids of every segment.
        shortenable: Which segments may be shortened.
        excess: Number of tokens to remove; nothing happens if it is not above 0.
        truncation: "longest" removes from the longest of them, the later one if two are equal. "last" removes from the
            last one that has tokens.
        pattern: The pattern, for error messages.

    Raises:
        ValueError: If the segments have too few tokens, and for another `truncation`.
    """
    if truncation not in ("longest", "last"):
        raise ValueError(f"truncation={truncation!r}: expected 'longest' or 'last'.")
    candidates = [index for index, may in enumerate(shortenable) if may]
    available = sum(len(encoded[index]) for index in candidates)
    if excess > available:
        raise ValueError(
            f"An example does not fit: pattern {pattern!r} leaves {available} tokens that may be removed, but "
            f"{excess} are too many. Raise max_length, mark further fields with |shorten, or say truncation=True to a "
            "classifier or pipeline."
        )
    for _ in range(excess):
        if truncation == "last":
            index = max(index for index in candidates if encoded[index])
        else:
            index = max(candidates, key=lambda index: (len(encoded[index]), index))
        encoded[index].pop()


def tokenize(tokenizer: PreTrainedTokenizerBase, texts: list[str], split_special_tokens: bool) -> list[list[int]]:
    """Return ids without special tokens around them; a text of white space has none, as in the originals."""
    ids = tokenizer(texts, add_special_tokens=False, split_special_tokens=split_special_tokens, verbose=False)[
        "input_ids"
    ]
    return [row if text.strip() else [] for text, row in zip(texts, ids, strict=True)]


def _token_id(tokenizer: PreTrainedTokenizerBase, token: str) -> int:
    token_id = tokenizer.convert_tokens_to_ids(token)
    assert isinstance(token_id, int)
    return token_id


def _blank_id(tokenizer: PreTrainedTokenizerBase, blank: str) -> int:
    token = getattr(tokenizer, BLANKS[blank], None)
    if token is None:
        raise ValueError(f"The pattern has a {blank}, but the vocabulary has no such token: use [MASK].")
    return _token_id(tokenizer, str(token))


def _soft_id(tokenizer: PreTrainedTokenizerBase, index: int) -> int:
    token = SOFT_TOKEN.format(index)
    if token not in tokenizer.get_added_vocab():
        raise ValueError(
            f"The pattern has prompt tokens, but the vocabulary has no {token}: call modeling_glm.add_soft_tokens(model, "
            "tokenizer, task) first."
        )
    return _token_id(tokenizer, token)

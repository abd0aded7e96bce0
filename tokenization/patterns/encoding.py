"""Compute the ids of filled patterns: blanks, prompt tokens, and texts cut to length."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

from transformers import PreTrainedTokenizerBase

from ..blanks import encode_bare
from ..cutting import keep_around_blanks
from .syntax import BLANKS, Segment

SOFT_TOKEN = "<|soft{}|>"  # prompt tokens that are learned, numbered from 0
Truncation = Literal["longest", "last"]
Cut = Callable[[list[int], int], list[int]]  # (ids, room) -> the ids that stay
CLOZE_REMEDY = (
    "Raise max_length, mark further fields with |shorten, or say truncation=True to a classifier or pipeline."
)


def encode_context(
    segments: list[Segment],
    tokenizer: PreTrainedTokenizerBase,
    room: int | None,
    truncation: Truncation,
    pattern: str,
    cut_fields: bool = False,
    remedy: str = CLOZE_REMEDY,
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
        remedy: A sentence that says what to do if the example does not fit, for error messages.
    """
    encoded = encode_segments(segments, tokenizer)
    # A text that ends with [gMASK] continues there: it has no end.
    continues = segments[-1].kind == "mask" and segments[-1].text == "[gMASK]"
    closing = [] if continues else [tokenizer.eos_token_id]
    if room is not None:
        excess = sum(map(len, encoded)) + 1 + len(closing) - room
        cuts = [cut_of(segment, tokenizer) for segment in segments]
        if cut_fields:
            available = sum(len(ids) for ids, cut in zip(encoded, cuts, strict=True) if cut)
            shorten(encoded, cuts, min(excess, available), truncation, pattern, remedy)
            excess, cuts = excess - available, [None if segment.written else cut_end for segment in segments]
        shorten(encoded, cuts, excess, truncation, pattern, remedy)
    return [tokenizer.cls_token_id, *(token for ids in encoded for token in ids), *closing]


def encode_segments(
    segments: list[Segment], tokenizer: PreTrainedTokenizerBase, *, literal: bool = True
) -> list[list[int]]:
    """
    Return the ids of every segment of a filled pattern.

    Args:
        segments: The filled pattern.
        tokenizer: A `GLMTokenizer`.
        literal: Whether special tokens in the texts of the example are ordinary characters, and texts of white space
            have no tokens. The originals' seq2seq code reads them as special tokens, and keeps white space.
    """
    encoded, soft = [], 0  # soft counts the prompt tokens so far, which are numbered through the pattern
    for segment in segments:
        if segment.kind == "mask":
            encoded.append([blank_id(tokenizer, segment.text)])
        elif segment.kind == "soft":
            encoded.append([_soft_id(tokenizer, soft + index) for index in range(segment.count)])
            soft += segment.count
        elif not literal:
            encoded.append(tokenizer(segment.text, add_special_tokens=False, verbose=False)["input_ids"])
        elif segment.blanks:
            encoded += encode_bare(tokenizer, [segment.text])
        else:
            encoded += tokenize(tokenizer, [segment.text], split_special_tokens=not segment.written)
    return encoded


def cut_of(segment: Segment, tokenizer: PreTrainedTokenizerBase, *, as_originals: bool = False) -> Cut | None:
    """
    Return how a segment loses tokens, None if it may lose none.

    Args:
        segment: A segment of a filled pattern.
        tokenizer: A `GLMTokenizer`.
        as_originals: Whether a text loses tokens at its side even if blanks are lost, and a text that is cut around
            another ends where its half does. Otherwise a text keeps its blanks, and as many tokens as fit.
    """
    if not segment.shortenable:
        return None
    if segment.blanks and not as_originals:
        return partial(cut_around_blanks, mask_token_ids=tokenizer.mask_token_ids, side=segment.side)
    if segment.around is not None:
        answer = tokenize(tokenizer, [segment.around], split_special_tokens=not as_originals)[0]
        return partial(cut_around_answer, answer=answer, full=not as_originals)
    return cut_start if segment.side == "start" else cut_end


def cut_end(ids: list[int], room: int) -> list[int]:
    """Keep the first `room` ids."""
    return ids[:room]


def cut_start(ids: list[int], room: int) -> list[int]:
    """Keep the last `room` ids."""
    return ids[len(ids) - room :]


def cut_around_answer(ids: list[int], room: int, answer: Sequence[int], full: bool = True) -> list[int]:
    """
    Keep ids around the first place of an answer, from half of the room before it. Without the answer, keep the first ids.

        ids 0 1 2 3 4 5 6 7, answer [4 5], room 4  ->  2 3 4 5

    Args:
        ids: The ids of the text.
        room: Most ids that stay.
        answer: The ids to look for.
        full: Whether as many ids stay as there is room for, also if the answer is near the end. In the originals' code the
            window ends early there.
    """
    width = len(answer)
    place = next((p for p in range(len(ids) - width + 1) if width and ids[p : p + width] == list(answer)), 0)
    start = max(place - room // 2, 0)
    if full:
        start = min(start, len(ids) - room)
    return ids[start : start + room]


def cut_around_blanks(ids: list[int], room: int, mask_token_ids: Sequence[int], side: str) -> list[int]:
    """Keep all blanks, and the ids nearest to a blank. Raises a `ValueError` if there are more blanks than room."""
    is_blank = [token_id in mask_token_ids for token_id in ids]
    places = keep_around_blanks(is_blank, room, "left" if side == "start" else "right")
    if places is None:
        raise ValueError(
            f"A field has {sum(is_blank)} blanks, but cutting it leaves room for {room} tokens: use fewer."
        )
    return [ids[place] for place in places]


def shorten(
    encoded: list[list[int]],
    cuts: Sequence[Cut | None],
    excess: int,
    truncation: Truncation,
    pattern: str,
    remedy: str = CLOZE_REMEDY,
):
    """
    Remove tokens from the segments that may be shortened, in place.

    Args:
        encoded: The ids of every segment.
        cuts: How every segment is cut, None for those that stay whole.
        excess: Number of tokens to remove; nothing happens if it is not above 0.
        truncation: "longest" removes one by one from the longest of them, the later one if two are equal. "last" removes
            from the last one that has tokens.
        pattern: The pattern, for error messages.
        remedy: A sentence that says what to do, for error messages.

    Raises:
        ValueError: If the segments have too few tokens, and for another `truncation`.
    """
    if truncation not in ("longest", "last"):
        raise ValueError(f"truncation={truncation!r}: expected 'longest' or 'last'.")
    rooms = {index: len(encoded[index]) for index, cut in enumerate(cuts) if cut}
    available = sum(rooms.values())
    if excess > available:
        raise ValueError(
            f"An example does not fit: pattern {pattern!r} leaves {available} tokens that may be removed, but "
            f"{excess} are too many. {remedy}"
        )
    for _ in range(excess):
        if truncation == "last":
            index = max(index for index, room in rooms.items() if room)
        else:
            index = max(rooms, key=lambda index: (rooms[index], index))
        rooms[index] -= 1
    for index, room in rooms.items():
        cut = cuts[index]
        if cut and room < len(encoded[index]):
            encoded[index] = cut(encoded[index], room)


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


def blank_id(tokenizer: PreTrainedTokenizerBase, blank: str) -> int:
    """Return the id of a blank by its name in patterns. Raises a `ValueError` if the vocabulary lacks it."""
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

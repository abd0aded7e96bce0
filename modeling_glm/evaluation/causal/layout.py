"""
Lay out an example with choices for a causal model. It reads from left to right, so a choice stands in the text:

    text behind nothing    Ice is | cold          the choice is scored
    blank at the end       Ice is | cold          the same
    blank inside           Ice is | cold in May   the choice and what follows are scored, or with "behind" only the latter

What stands before the choice is the same for all choices. So the choice and what follows rank as whole sentences do.
"""

from collections.abc import Sequence
from typing import Any, Literal

from ..texts import encode_plain, space_behind
from .scoring import ScoredSpan, count_common

# The blank of a text. A causal model has no mask token, so its tokenizer cannot say it.
BLANK = "[MASK]"
Scored = Literal["sentence", "behind"]


def lay_out_causal_choices(
    tokenizer: Any,
    text: str,
    choices: Sequence[str],
    *,
    max_length: int | None,
    scored: Scored = "sentence",
    as_written: bool = False,
) -> tuple[list[ScoredSpan], bool]:
    """
    Lay out an example, without the start of a text that is too long.

    Args:
        tokenizer: The tokenizer of a causal model.
        text: The text, with a blank or without.
        choices: Its choices.
        max_length: The most tokens of a sequence, or None for no limit.
        scored: "sentence" to score a choice and what follows, "behind" to score only what follows.
        as_written: Whether choices are put into the text exactly as they stand. By default a choice behind a text without
            white space gets a space in front.

    Returns:
        A sequence for every choice, and whether the text was cut.

    Raises:
        ValueError: For more than one blank, nothing behind the blank to score, or choices that are too long.
    """
    before, *rest = text.split(BLANK)
    if len(rest) > 1:
        raise ValueError(f"The example has {len(rest)} blanks: expected one, or none to fill its end.")
    behind = rest[0] if rest else ""
    if scored == "behind" and not behind.strip():
        raise ValueError(
            'The example has nothing behind its blank: expected more text there, or score the "sentence".'
        )
    if not rest and not as_written:
        choices = space_behind(before, choices)
    starts = [before if as_written or not choice[0].isspace() else before.rstrip() for choice in choices]
    filled = [start + choice for start, choice in zip(starts, choices, strict=True)]
    wholes = encode_plain(tokenizer, [one + behind for one in filled])
    # White space before the scored part belongs to it, as it does in most vocabularies.
    ends = filled if scored == "behind" else starts
    contexts = encode_plain(tokenizer, [end.rstrip() for end in ends])
    begin = find_start(tokenizer)
    spans = []
    for whole, context in zip(wholes, contexts, strict=True):
        # Tokens may reach over the place where the scored part begins: then they are scored.
        start = len(begin) + count_common([whole, context])
        spans.append(ScoredSpan([*begin, *whole], start, len(begin) + len(whole)))
    return _cut(spans, tokenizer, max_length)


def find_start(tokenizer: Any) -> list[int]:
    """Find the token that the tokenizer puts before every text, if it does."""
    encoded = tokenizer("")["input_ids"]
    return encoded[:1] if encoded and encoded[0] == tokenizer.bos_token_id else []


def _cut(spans: list[ScoredSpan], tokenizer: Any, max_length: int | None) -> tuple[list[ScoredSpan], bool]:
    """Take tokens from the start of the sequences, as many from each. At least one stays before what is scored."""
    if any(span.start == 0 for span in spans):  # a first token follows the start of a text
        ids = [token for token in (tokenizer.bos_token_id, tokenizer.eos_token_id) if token is not None]
        if not ids:
            raise ValueError("The example has no text before its choices, and the vocabulary has no start of a text.")
        spans = [ScoredSpan([ids[0], *span.ids], span.start + 1, span.stop + 1) for span in spans]
    # The last token is only predicted.
    cut = 0 if max_length is None else max(0, max(span.stop - 1 for span in spans) - max_length)
    first = min(span.start for span in spans)
    if cut >= first:
        longest = max(span.stop - span.start for span in spans)
        raise ValueError(f"The example has a choice of {longest} tokens, but max_length={max_length} holds less.")
    return [ScoredSpan(span.ids[cut:], span.start - cut, span.stop - cut) for span in spans], cut > 0


__all__ = ["BLANK", "Scored", "find_start", "lay_out_causal_choices"]

"""Encode the texts that are evaluated. Special tokens written in them are letters."""

from collections.abc import Sequence
from typing import Any

from ..configuration_glm import GLMConfig
from ..seq2seq.metrics import WITHOUT_SPACES
from ..tokenization import GLMTokenizer
from ..utils.numbers import check_whole_number


def encode_plain(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Encode texts as they stand, without special tokens around them or in them."""
    if not texts:
        return []
    return tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"]


def space_behind(text: str, choices: Sequence[str]) -> list[str]:
    """Put choices behind a space if neither they nor the text have one. Scripts without spaces between words need none."""
    if not text or text[-1].isspace() or WITHOUT_SPACES.match(text[-1]):
        return list(choices)
    return [choice if choice[0].isspace() or WITHOUT_SPACES.match(choice) else f" {choice}" for choice in choices]


def continuing_mask_id(tokenizer: GLMTokenizer) -> int:
    """Return the id of the mask behind which a text continues: `[gMASK]`, or `[MASK]` in a vocabulary without it."""
    return tokenizer.gmask_token_id if tokenizer.gmask_token_id is not None else tokenizer.mask_token_id


def check_max_length(max_length: int | None, config: GLMConfig) -> int:
    """
    Check the most tokens that a row may have, Part A and Part B together.

    Args:
        max_length: The number, or None for all that the position table holds.
        config: The config of the model.

    Raises:
        ValueError: If the position table does not hold as many.
    """
    longest = config.max_position_embeddings
    if max_length is None:
        return longest
    because = f", because config.max_position_embeddings={longest}"
    return check_whole_number("max_length", max_length, least=8, most=longest, because=because)


__all__ = ["check_max_length", "continuing_mask_id", "encode_plain", "space_behind"]

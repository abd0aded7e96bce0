"""Encode the texts that are evaluated. Special tokens written in them are letters."""

from collections.abc import Sequence

from ..configuration_glm import GLMConfig
from ..tokenization import GLMTokenizer
from ..utils.numbers import check_whole_number


def encode_plain(tokenizer: GLMTokenizer, texts: Sequence[str]) -> list[list[int]]:
    """Encode texts as they stand, without special tokens around them or in them."""
    if not texts:
        return []
    return tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"]


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


__all__ = ["check_max_length", "continuing_mask_id", "encode_plain"]

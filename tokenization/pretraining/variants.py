"""Options of the original that change finished samples: hidden inputs, and positions that begin anywhere."""

from collections.abc import Callable

import numpy as np

from .samples import Samples, Texts

# Uniform numbers for tokens, by text and index in it: (tokens,) each.
TokenDraws = Callable[[np.ndarray, np.ndarray], np.ndarray]


def hide_pieces(
    samples: Samples,
    texts: Texts,
    chosen: np.ndarray,
    draw: TokenDraws,
    *,
    probability: float,
    dblock_token_id: int,
):
    """
    Feeds `[dBLOCK]` in place of some tokens of Part B, which are still to be predicted.

    Args:
        samples: Changed in place.
        texts: What they were made of.
        chosen: (texts,) bool, where this is done.
        draw: Gives the numbers.
        probability: Of every token but the starts of pieces.
        dblock_token_id: What is fed.
    """
    number, index = _places(samples, texts)
    where = np.flatnonzero(chosen[number] & (samples.origins >= 0) & (samples.position_ids[1] > 0))
    hidden = where[draw(number[where], index[where]) < probability]
    samples.input_ids[hidden] = dblock_token_id


def hide_context(
    samples: Samples,
    texts: Texts,
    chosen: np.ndarray,
    draw: TokenDraws,
    *,
    ratio: float,
    reach: int,
    boundary: np.ndarray,
    dblock_token_id: int,
):
    """
    Replaces tokens of Part A near the blanks by `[dBLOCK]`.

    Args:
        samples, texts, chosen, draw, dblock_token_id: As for `hide_pieces`.
        ratio: Share of the tokens of the text to replace, as far as there are so many near the blanks.
        reach: Farthest distance from a blank.
        boundary: (tokens of the samples,) bool, what opens and ends documents and stays.
    """
    number, index = _places(samples, texts)
    in_part_a = samples.position_ids[1] == 0
    blank = in_part_a & (samples.origins < 0)
    near = np.zeros(len(blank), dtype=bool)
    for distance in range(1, reach + 1):
        same_text = number[distance:] == number[:-distance]
        near[distance:] |= blank[:-distance] & same_text
        near[:-distance] |= blank[distance:] & same_text
    where = np.flatnonzero(near & chosen[number] & in_part_a & (samples.origins >= 0) & ~boundary)
    where = where[np.lexsort((draw(number[where], index[where]), number[where]))]
    rank = np.arange(len(where)) - np.searchsorted(number[where], number[where])
    wanted = (ratio * texts.lengths + 1e-9).astype(np.int64)
    samples.input_ids[where[rank < wanted[number[where]]]] = dblock_token_id


def shift_positions(samples: Samples, numbers: np.ndarray, max_length: int):
    """
    Lets row 0 of every sample begin anywhere as long as Part A ends before `max_length`.

    Args:
        samples: Changed in place.
        numbers: (samples,) uniform numbers.
        max_length: Rows of the position table.
    """
    room = np.maximum(max_length - samples.context_lengths + 1, 1)
    samples.position_ids[0] += np.repeat((numbers * room).astype(np.int64), samples.lengths)


def _places(samples: Samples, texts: Texts) -> tuple[np.ndarray, np.ndarray]:
    """The text of every token of the samples, and where in it the token stood."""
    number = np.repeat(np.arange(len(samples.lengths)), samples.lengths)
    return number, samples.origins - texts.offsets[:-1][number]

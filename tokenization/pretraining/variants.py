"""Options of the originals that change finished samples: hidden inputs and shifted positions."""

from dataclasses import dataclass

import numpy as np

from .draws import Draws
from .ragged import count_within
from .samples import InfillingSamples
from .texts import Texts


def hide_pieces(
    samples: InfillingSamples,
    texts: Texts,
    chosen: np.ndarray,
    draws: Draws,
    stream: int,
    *,
    probability: float,
    dblock_token_id: int,
):
    """
    Feed `[dBLOCK]` in place of some tokens of Part B. The labels stay.

    Args:
        samples: Changed in place.
        texts: The texts of the samples.
        chosen: (texts,) bool, the texts to change.
        draws, stream: The random numbers, and which of their streams to use.
        probability: Probability of each token, without the starts of pieces.
        dblock_token_id: Id of `[dBLOCK]`.
    """
    places = _find_places(samples, texts)
    where = np.flatnonzero(chosen[places.text] & (samples.origins >= 0) & (samples.position_ids[1] > 0))
    hidden = where[draws.stream(stream, places.text[where], places.index[where]) < probability]
    samples.input_ids[hidden] = dblock_token_id


def hide_context(
    samples: InfillingSamples,
    texts: Texts,
    chosen: np.ndarray,
    draws: Draws,
    stream: int,
    *,
    ratio: float,
    reach: int,
    dblock_token_id: int,
):
    """
    Replace tokens of Part A near the blanks by `[dBLOCK]`.

    Args:
        samples, texts, chosen, draws, stream, dblock_token_id: As for `hide_pieces`.
        ratio: Share of the tokens of the text to replace, as far as so many stand near the blanks.
        reach: Largest distance from a blank in tokens.
    """
    places = _find_places(samples, texts)
    in_part_a = samples.position_ids[1] == 0
    from_text = samples.origins >= 0
    blank = in_part_a & ~from_text
    near = np.zeros(len(blank), dtype=bool)
    for distance in range(1, reach + 1):
        same_text = places.text[distance:] == places.text[:-distance]
        near[distance:] |= blank[:-distance] & same_text
        near[:-distance] |= blank[distance:] & same_text
    # Origins of -1 read the last token here, and from_text takes them out again.
    candidates = near & chosen[places.text] & in_part_a & from_text & ~texts.is_boundary[samples.origins]
    where = np.flatnonzero(candidates)
    text = places.text[where]
    order = np.lexsort((draws.stream(stream, text, places.index[where]), text))
    where, text = where[order], text[order]
    wanted = (ratio * texts.lengths + 1e-9).astype(np.int64)
    samples.input_ids[where[count_within(text) < wanted[text]]] = dblock_token_id


def shift_positions(samples: InfillingSamples, numbers: np.ndarray, max_length: int):
    """
    Shift row 0 of each sample by a random number, so that Part A still ends below `max_length`.

    Args:
        samples: Changed in place.
        numbers: (samples,) uniform random numbers.
        max_length: Rows of the position table.
    """
    room = np.maximum(max_length - samples.context_lengths + 1, 1)
    samples.position_ids[0] += np.repeat((numbers * room).astype(np.int64), samples.lengths)


@dataclass(frozen=True, kw_only=True)
class _Places:
    """The text of each token of the samples, and its place within the text."""

    text: np.ndarray
    index: np.ndarray


def _find_places(samples: InfillingSamples, texts: Texts) -> _Places:
    text = np.repeat(np.arange(len(samples.lengths)), samples.lengths)
    return _Places(text=text, index=samples.origins - texts.offsets[:-1][text])

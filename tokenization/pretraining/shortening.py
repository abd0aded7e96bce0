"""Cut a long text into short samples, as the originals do for a part of their texts."""

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

from .texts import find_boundaries

SHORTEST_SAMPLE = 32  # tokens, without the first one


def cut_short_texts(
    text: np.ndarray, numbers: Iterator[float], boundary_ids: Sequence[int], ends: np.ndarray
) -> list[np.ndarray]:
    """
    Cut short texts out of a long one.

    A length is drawn, and then as many parts of about that length as the text could hold. The parts come from anywhere in
    it and may overlap. They begin at the start of a sentence, and end at the end of one if there is one near.

    Args:
        text: (length,) int64, the ids of a text with `[CLS]` in front.
        numbers: Uniform random numbers.
        boundary_ids: Ids of the tokens that open and end documents.
        ends: (length - 1,) bool, True for tokens that end a sentence, without the first token.

    Returns:
        The ids of each part, with `[CLS]` in front. Parts without tokens other than boundaries are left out.
    """
    first, ids = text[:1], text[1:]
    is_boundary = find_boundaries(ids, boundary_ids)
    size = SHORTEST_SAMPLE + int(next(numbers) * max(1, len(ids) - SHORTEST_SAMPLE))
    # Sentences start behind an end or a boundary, but not at the end of a document.
    opens = np.flatnonzero(~is_boundary[1:] & (ends | is_boundary)[:-1]) + 1
    closes = np.flatnonzero(ends | is_boundary) + 1
    places = [] if size < len(ids) else [slice(0, len(ids))]
    for number in islice(numbers, 0 if places else len(ids) // size):
        middle = int(number * (len(ids) - size))
        earlier = opens[: np.searchsorted(opens, middle, side="right")]
        start = int(earlier[-1]) if len(earlier) else 0
        within = closes[(closes > start) & (closes <= start + size)]
        stop = int(within[-1]) if len(within) and within[-1] - start >= size // 2 else start + size
        places.append(slice(start, stop))
    parts = [ids[place] for place in places]
    # A part that was cut behind the [CLS] of the next document ends before it.
    parts = [part[:-1] if part[-1] == first[0] else part for part in parts]
    return [np.concatenate([first, part]) for part in parts if not find_boundaries(part, boundary_ids).all()]

"""Cut a text that is too long around its blanks."""

import json
from collections.abc import Sequence

from tokenizers import Encoding

TOKEN_LISTS = ("ids", "type_ids", "tokens", "words", "offsets", "special_tokens_mask", "attention_mask")


def keep_around_blanks(is_blank: Sequence[bool], room: int, side: str = "right") -> list[int] | None:
    """
    Choose the tokens of a text that stay if it has too many: its blanks, and those nearest to a blank.

        is_blank  . . . . B . . .   room 4  ->  [2, 3, 4, 5]

    Args:
        is_blank: Whether each token is a blank.
        room: Most tokens that may stay.
        side: The end where a text without blanks loses tokens, "left" or "right".

    Returns:
        The places of the tokens that stay, in order. Of two that are equally near the left one stays. None if the
        blanks alone are too many.
    """
    length = len(is_blank)
    blanks = [place for place, blank in enumerate(is_blank) if blank]
    if length <= room:
        return list(range(length))
    if len(blanks) > room:
        return None
    if not blanks:
        return list(range(room)) if side == "right" else list(range(length - room, length))
    distances = [length] * length
    for places in (range(length), range(length - 1, -1, -1)):
        distance = length
        for place in places:
            distance = 0 if is_blank[place] else distance + 1
            distances[place] = min(distances[place], distance)
    return sorted(sorted(range(length), key=distances.__getitem__)[:room])


def take_tokens(encoding: Encoding, places: Sequence[int]) -> Encoding:
    """Return the encoding of some tokens of a text, with the offsets and the word ids that they have there."""
    state = json.loads(encoding.__getstate__())
    state.update({name: [state[name][place] for place in places] for name in TOKEN_LISTS})
    taken = Encoding()
    taken.__setstate__(json.dumps({**state, "overflowing": [], "sequence_ranges": {}}).encode())
    return taken


__all__ = ["keep_around_blanks", "take_tokens"]

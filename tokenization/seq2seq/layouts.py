"""
Lay out sources and targets: GLM's own layout, and that of checkpoints that the originals' seq2seq code fine-tuned.

A sample has two parts. Part A is the source with its blanks, Part B the pieces that fill them, each `<sop> answer` with the
labels `answer <eop>`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

IGNORED = -100  # label of a token after which nothing is predicted


@dataclass(frozen=True)
class OriginalLayout:
    """
    Lay out samples as the originals' seq2seq code does. Use it for checkpoints that this code fine-tuned.

    Part A is padded to exactly `max_source_length` with `<eos>`, and the padding is read as text: all tokens see it, and
    positions count through it. Part B is padded to `max_target_length`. Special tokens count wherever they are written.

    Args:
        begins: Whether Part A begins with `[CLS]`. The tasks "extraction" and "blank" have none.
        ends: Whether Part A ends with `<eos>` before the padding, as in the task "customization".
        mask_padding: Whether the padding of Part A is hidden (`--mask-pad-token`).
        block_positions: Whether row 1 of the positions counts within a piece. Otherwise it is 1 in all of Part B
            (`--no-block-position`). `generate` counts, so it has no such layout.
    """

    begins: bool = True
    ends: bool = False
    mask_padding: bool = False
    block_positions: bool = True


def lay_out(context: Sequence[int], pieces: Sequence[Sequence[int]], sop_token_id: int) -> tuple[list[int], list[int]]:
    """
    Lay out one sample: its ids, and the labels aligned with them.

        context a M b, piece x y E, S = sop, E = eop
        ids     a M b   S x y
        labels  . . .   x y E

    Args:
        context: The ids of Part A.
        pieces: The labels of every piece: its answer and, unless it was cut, the end.
        sop_token_id: Id of the start of a piece.
    """
    fed = [token for piece in pieces for token in (sop_token_id, *piece[:-1])]
    labels = [token for piece in pieces for token in piece]
    return [*context, *fed], [IGNORED] * len(context) + labels


def count_context(labels: Sequence[int]) -> int:
    """Return how many ids of a sample are Part A: those in front of the first label. Without labels all are."""
    return next((place for place, label in enumerate(labels) if label != IGNORED), len(labels))


def cut_pieces(pieces: Sequence[Sequence[int]], room: int | None) -> list[list[int]]:
    """Keep the first `room` tokens of all pieces together. A piece that is cut loses its end, one without tokens vanishes."""
    kept: list[list[int]] = []
    for piece in pieces:
        taken = list(piece if room is None else piece[:room])
        if not taken:
            break
        kept.append(taken)
        room = None if room is None else room - len(taken)
    return kept


def number_positions(blanks: Sequence[int], context_length: int, sizes: Sequence[int]) -> tuple[list[int], list[int]]:
    """
    Compute both rows of the 2D positions of a sample (paper section 2.2.1).

        blanks [1], context_length 3, sizes [2]  ->  0 1 2 1 1,  0 0 0 1 2

    Args:
        blanks: The places of the blanks in Part A, one for each piece.
        context_length: Tokens of Part A.
        sizes: Tokens of every piece.
    """
    row0, row1 = list(range(context_length)), [0] * context_length
    for blank, size in zip(blanks, sizes, strict=False):
        row0 += [blank] * size
        row1 += range(1, size + 1)
    return row0, row1


def lay_out_as_originals(
    context: Sequence[int],
    pieces: Sequence[Sequence[int]],
    blanks: Sequence[int],
    layout: OriginalLayout,
    *,
    source_length: int,
    target_length: int,
    eos_token_id: int,
    sop_token_id: int,
    eop_token_id: int,
    several: bool,
) -> dict[str, list]:
    """
    Lay out one sample as the originals do, with all its padding.

    Args:
        context: The ids of Part A.
        pieces: The labels of every piece, cut to `target_length` together.
        blanks: The places of the blanks in Part A, one for each piece.
        layout: The switches of the layout.
        source_length, target_length: The lengths of both parts, with padding.
        eos_token_id, sop_token_id: The special tokens.
        eop_token_id: The end of a piece.
        several: Whether a source may have several blanks. Then the positions behind Part B are 0. With one blank they count
            on, and the end of the piece is fed too, although nothing is predicted behind it.

    Returns:
        `input_ids`, `labels`, `attention_mask` (length,) and `position_ids` (2, length). The mask is 1 on the padding of
        Part A, unless the layout hides it, and 0 behind Part B, where nothing is predicted.
    """
    padding = source_length - len(context)
    ids, labels = lay_out([*context, *[eos_token_id] * padding], pieces, sop_token_id)
    sizes = [len(piece) for piece in pieces]
    rest = target_length - sum(sizes)
    fed_end: list[int] = []
    if not several:
        sizes, fed_end = [target_length], [eop_token_id][:rest]
    row0, row1 = number_positions(blanks, source_length, sizes)
    behind = source_length + target_length - len(row0)
    row0, row1 = [*row0, *[0] * behind], [*row1, *[0] * behind]
    if not layout.block_positions:
        row1 = [min(number, 1) for number in row1]
    shown = [1] * len(context) + [int(not layout.mask_padding)] * padding
    return {
        "input_ids": [*ids, *fed_end, *[eos_token_id] * (rest - len(fed_end))],
        "labels": [*labels, *[IGNORED] * rest],
        "attention_mask": [*shown, *[1] * (target_length - rest), *[0] * rest],
        "position_ids": [row0, row1],
    }


__all__ = [
    "IGNORED",
    "OriginalLayout",
    "count_context",
    "cut_pieces",
    "lay_out",
    "lay_out_as_originals",
    "number_positions",
]

"""Span corruption for pretraining (paper sections 2.1 and 2.2): which tokens become blanks, and the layout that results."""

from dataclasses import dataclass

import numpy as np

# Spans of the token objective have 1 to 39 tokens, their lengths drawn from a Poisson distribution.
LONGEST_SPAN = 39


@dataclass(frozen=True, kw_only=True)
class InfillingSample:
    """
    One row of a pretraining batch.

    Attributes:
        input_ids: (seq,) int64, Part A and Part B.
        position_ids: (2, seq) int64.
        labels: (seq,) int64, aligned with the inputs, -100 in Part A.
    """

    input_ids: np.ndarray
    position_ids: np.ndarray
    labels: np.ndarray


def poisson_lengths(mean: float) -> np.ndarray:
    """Probabilities of the span lengths 1 ... 39: a Poisson distribution restricted to them."""
    lengths = np.arange(1, LONGEST_SPAN + 1)
    log_factorials = np.cumsum(np.log(lengths))
    weights = np.exp(lengths * np.log(mean) - log_factorials)
    return weights / weights.sum()


def sample_spans(
    generator: np.random.Generator, length: int, mask_ratio: float, probabilities: np.ndarray
) -> list[tuple[int, int]]:
    """
    Draws spans for the token objective until at least `mask_ratio` of the tokens are covered (paper section 2.1.1), and
    places them uniformly at random with at least one token between them.

    Args:
        generator: Source of randomness.
        length: Number of tokens, at least 1.
        mask_ratio: Share of tokens to cover, at least one token.
        probabilities: Of the lengths 1, 2, ...

    Returns:
        (start, stop) of the spans in the order of the text.
    """
    wanted = max(1, int(np.ceil(mask_ratio * length)))
    lengths: list[int] = []
    while (covered := sum(lengths)) < wanted:
        drawn = int(generator.choice(len(probabilities), p=probabilities)) + 1
        # Spans of their own need a token between them, and a text must not vanish whole where it can be avoided.
        room = length - covered - len(lengths) - (1 if length > 1 else 0)
        if room < 1:
            break
        lengths.append(min(drawn, room))
    # With every span shrunk to one item, k of the remaining items are spans and no two of them touch:
    # lengths [2 1], slots [0 2] of 4 -> (0, 2), (3, 4)
    slots = np.sort(generator.choice(length - sum(lengths) + 1, size=len(lengths), replace=False))
    starts = slots + np.cumsum([0, *lengths[:-1]])
    return [(int(start), int(start) + size) for start, size in zip(starts, lengths, strict=True)]


def corrupt_spans(
    tokens: np.ndarray,
    spans: list[tuple[int, int]],
    order: np.ndarray,
    *,
    mask_token_id: int,
    sop_token_id: int,
    eop_token_id: int,
) -> InfillingSample:
    """
    Replaces spans by blanks and writes them behind the text, each `<sop> span` -> `span <eop>` (paper Figure 2).

    Args:
        tokens: (length,) ids of Part A before corruption, with whatever opens and ends it.
        spans: (start, stop) in the order of the text, not touching.
        order: The order in which Part B holds them.
        mask_token_id, sop_token_id, eop_token_id: Ids of the blank, the start and the end of a piece.
    """
    part_a: list[np.ndarray] = []
    blank_positions = []
    position = last = 0
    for start, stop in spans:
        part_a += [tokens[last:start], np.array([mask_token_id])]
        position += start - last
        blank_positions.append(position)
        position += 1
        last = stop
    context = np.concatenate([*part_a, tokens[last:]])

    ids, labels = [context], [np.full(len(context), -100)]
    row0, row1 = [np.arange(len(context))], [np.zeros(len(context), dtype=np.int64)]
    for index in order:
        start, stop = spans[index]
        span = tokens[start:stop]
        ids.append(np.concatenate([[sop_token_id], span]))
        labels.append(np.concatenate([span, [eop_token_id]]))
        row0.append(np.full(len(span) + 1, blank_positions[index]))
        row1.append(np.arange(1, len(span) + 2))
    return InfillingSample(
        input_ids=np.concatenate(ids).astype(np.int64),
        position_ids=np.stack([np.concatenate(row0), np.concatenate(row1)]).astype(np.int64),
        labels=np.concatenate(labels).astype(np.int64),
    )


def cut_suffix(tokens: np.ndarray, start: int, *, mask_token_id: int, sop_token_id: int) -> InfillingSample:
    """
    The document objective's suffix form (paper section 2.2): `tokens[:start] [gMASK] <sop>` -> `tokens[start:]`, without
    an end, because the document goes on.

    Args:
        tokens: (length,) ids of the document with what opens it, without an end of text.
        start: Where the target begins.
        mask_token_id, sop_token_id: Ids of the blank and the start of a piece.
    """
    target = tokens[start:]
    context = np.concatenate([tokens[:start], [mask_token_id]])
    return InfillingSample(
        input_ids=np.concatenate([context, [sop_token_id], target[:-1]]).astype(np.int64),
        position_ids=np.stack(
            [
                np.concatenate([np.arange(len(context)), np.full(len(target), start)]),
                np.concatenate([np.zeros(len(context)), np.arange(1, len(target) + 1)]),
            ]
        ).astype(np.int64),
        labels=np.concatenate([np.full(len(context), -100), target]).astype(np.int64),
    )

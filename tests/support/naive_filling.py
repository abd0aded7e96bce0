"""Fill blanks greedily one token at a time, with the whole input at every step and no help from the library."""

import torch

from tests.support.naive_scoring import naive_log_probs


@torch.no_grad()
def naive_piece(
    model,
    context: list[int],
    filled: list[tuple[int, list[int]]],
    blank: int,
    limit: int,
    *,
    forbidden: tuple[int, ...] = (),
    hides_cut_off: bool = False,
) -> list[int]:
    """
    Find the piece of a blank, behind the pieces that are filled already (number of the blank, tokens).

    `hides_cut_off` is what `generate` does: later pieces do not see the last token of a piece that the limit ended.
    """
    config = model.config
    ends = {config.eop_token_id, config.eos_token_id}
    places = [place for place, token_id in enumerate(context) if token_id in config.mask_token_ids]
    ids, row0, row1, seen = list(context), list(range(len(context))), [0] * len(context), [1] * len(context)
    for number, tokens in [*filled, (blank, [])]:
        ids += [config.sop_token_id, *tokens]
        row0 += [places[number]] * (len(tokens) + 1)
        row1 += range(1, len(tokens) + 2)
        seen += [1] * (len(tokens) + 1)
        if hides_cut_off and len(tokens) == limit:
            seen[-1] = 0
    piece: list[int] = []
    while True:
        logits = model(
            torch.tensor([ids]), attention_mask=torch.tensor([seen]), position_ids=torch.tensor([[row0, row1]])
        ).logits[0, -1]
        logits[[config.sop_token_id, *forbidden]] = -torch.inf
        token = int(logits.argmax())
        if token in ends or len(piece) == limit:
            return piece
        piece.append(token)
        ids, row0, row1, seen = [*ids, token], [*row0, places[blank]], [*row1, row1[-1] + 1], [*seen, 1]


def fill_naively(model, context: list[int], limit: int) -> list[list[int]]:
    """Fill all blanks from left to right, as `generate` does."""
    filled: list[tuple[int, list[int]]] = []
    for blank in range(sum(token_id in model.config.mask_token_ids for token_id in context)):
        filled.append((blank, naive_piece(model, context, filled, blank, limit, hides_cut_off=True)))
    return [piece for _, piece in filled]


def fill_naively_by_confidence(
    model, context: list[int], limit: int, forbidden: tuple[int, ...]
) -> list[tuple[int, list[int]]]:
    """Fill the blank whose greedy piece has the best log-probability per token, then the others behind it."""
    filled: list[tuple[int, list[int]]] = []
    blanks = set(range(sum(token_id in model.config.mask_token_ids for token_id in context)))
    while blanks:
        tried = {}
        for blank in sorted(blanks):
            piece = naive_piece(model, context, filled, blank, limit, forbidden=forbidden)
            order, pieces = zip(*filled, (blank, piece), strict=True)
            scores = naive_log_probs(model, context, order, pieces)[-1]
            tried[blank] = (sum(scores) / len(scores), piece)
        best = max(tried, key=lambda blank: tried[blank][0])
        filled.append((best, tried[best][1]))
        blanks.remove(best)
    return filled

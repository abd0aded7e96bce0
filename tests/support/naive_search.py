"""The originals' beams and infilling written from their description: a row at a time, without a cache, in plain lists."""

import math

import torch

from modeling_glm import GLMForConditionalGeneration


def next_log_probs(
    model: GLMForConditionalGeneration,
    context: list[int],
    positions: list[tuple[int, int]],
    written: list[int],
    written_positions: list[tuple[int, int]],
) -> list[float]:
    """Compute the log-probabilities of the token behind `context` (which ends with a start of piece) and `written`."""
    places = torch.tensor([*positions, *written_positions]).T[None]  # (1, 2, seq)
    length, prompt = places.shape[-1], len(context) - 1  # the start of piece is the first token of Part B
    index = torch.arange(length)
    mask = (index[None, :] < prompt) | (index[None, :] <= index[:, None])
    with torch.no_grad():
        ids = torch.tensor([[*context, *written]])
        logits = model(ids, attention_mask=mask[None, None].long(), position_ids=places).logits
    return logits[0, -1].log_softmax(-1).tolist()


def forbid(log_probs: list[float], written: list[int], eop: int, size: int, least: int) -> list[float]:
    banned = {eop} if len(written) < least else set()
    if size:
        for start in range(len(written) - size + 1):
            *begin, end = written[start : start + size]
            if begin == written[len(written) - size + 1 :]:
                banned.add(end)
    return [-math.inf if token in banned else value for token, value in enumerate(log_probs)]


def naive_beams(
    model, context, positions, *, beams, penalty=0.0, size=0, least=0, most
) -> list[tuple[list[int], float]]:
    """Find the best answers as (ids with their end, score), best first."""
    eop = model.config.eop_token_id
    row0, _ = positions[len(context) - 1]
    later = [*positions[len(context) :], *[(row0, positions[-1][1] + n + 1) for n in range(most)]]
    open_beams: list[tuple[list[int], float]] = [([], 0.0)]
    found: list[tuple[list[int], float]] = []

    def add(ids, total, length):
        score = total / max(1, length) ** penalty
        if len(found) < beams or score > min(value for _, value in found):
            found.append((ids, score))
            if len(found) > beams:
                found.remove(min(found, key=lambda answer: answer[1]))

    for step in range(most):
        candidates = []
        for ids, total in open_beams:
            values = next_log_probs(model, context, positions[: len(context)], ids, later[:step])
            values = forbid(values, ids, eop, size, least)
            candidates += [(total + value, ids, token) for token, value in enumerate(values)]
        candidates = sorted(candidates, key=lambda candidate: -candidate[0])[: 2 * beams]
        open_beams = []
        for rank, (total, ids, token) in enumerate(candidates):
            if token != eop and len(open_beams) < beams:
                open_beams.append(([*ids, token], total))
            elif token == eop and rank < beams:
                add([*ids, eop], total, len(ids))
        if len(found) == beams and min(value for _, value in found) >= candidates[0][0] / step**penalty:
            break
    else:
        for ids, total in open_beams:
            add(ids, total, len(ids))
    return sorted(found, key=lambda answer: -answer[1])


def naive_infilling(model, context, positions, blanks, *, size=0, least=0, most) -> tuple[list[int], float]:
    """Fill the blanks at the positions `blanks` greedily: the new ids and the sum of their log-probabilities."""
    eop, sop = model.config.eop_token_id, model.config.sop_token_id
    written: list[int] = []
    places: list[tuple[int, int]] = []
    total, number, place = 0.0, 0, 1
    while len(written) < most:
        values = forbid(next_log_probs(model, context, positions, written, places), written, eop, size, least)
        token = max(range(len(values)), key=values.__getitem__)
        total += values[token]
        place += 1
        if token == eop:
            number += 1
            if number == len(blanks):
                return [*written, eop], total
            token, place = sop, 1
        written.append(token)
        places.append((blanks[number], place))
    return written, total

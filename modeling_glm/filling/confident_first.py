"""Filling blanks in the order of the model's confidence, not from left to right."""

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional as F
from transformers import LogitsProcessorList

from ..generation_glm import end_token_ids
from .constraints import BlankConstraintLogitsProcessor
from .jobs import Job, pad_left
from .scoring import Candidates, score_pieces

Piece = list[int]


def fill_confident_first(model: Any, jobs: Sequence[Job], generate_kwargs: dict[str, Any]) -> list[Candidates]:
    """
    Fills every text in rounds. In each round every open blank is filled greedily as the next one; the answer with the
    best log-probability per token is kept, and stands in sight of those that come after it. A piece keeps the positions
    of its blank, so that the model reads what it reads in pretraining, where the pieces are shuffled (paper section 2.1).

    Returns:
        For every text its pieces in the order in which they were kept.
    """
    orders: list[list[int]] = [[] for _ in jobs]
    kept: list[list[Piece]] = [[] for _ in jobs]
    while asked := [
        (text, blank) for text, job in enumerate(jobs) for blank in range(len(job.blanks)) if blank not in orders[text]
    ]:
        pieces = _fill_next(model, jobs, orders, kept, asked, generate_kwargs)
        tried = [
            Candidates(context=jobs[text].context, order=[*orders[text], blank], pieces=[[*kept[text], piece]])
            for (text, blank), piece in zip(asked, pieces, strict=True)
        ]
        means = [sum(scores[-1]) / len(scores[-1]) for (scores,) in score_pieces(model, tried, len(tried))]
        for text in dict.fromkeys(text for text, _ in asked):
            best = max((n for n, (other, _) in enumerate(asked) if other == text), key=means.__getitem__)
            orders[text].append(asked[best][1])
            kept[text].append(pieces[best])
    return [
        Candidates(context=job.context, order=order, pieces=[pieces])
        for job, order, pieces in zip(jobs, orders, kept, strict=True)
    ]


def _fill_next(
    model: Any,
    jobs: Sequence[Job],
    orders: Sequence[list[int]],
    kept: Sequence[list[Piece]],
    asked: Sequence[tuple[int, int]],
    generate_kwargs: dict[str, Any],
) -> list[Piece]:
    """The greedy piece of every open blank, behind the pieces that were kept for its text."""
    ends = end_token_ids(model.config)
    rows = [_lay_out(jobs[text].context, [*orders[text], blank], kept[text], model.config) for text, blank in asked]
    input_ids, attention_mask = pad_left(model, [ids for ids, _ in rows])
    width = input_ids.shape[1]
    position_ids = torch.stack([F.pad(positions, (width - positions.shape[1], 0)) for _, positions in rows])
    rules = [[jobs[text].rules[blank]] for text, blank in asked]
    sequences = model.generate(
        input_ids,
        attention_mask=attention_mask,
        position_ids=position_ids.to(model.device),
        logits_processor=LogitsProcessorList([BlankConstraintLogitsProcessor(model.config, ends, rules)]),
        max_new_tokens=max(rule.longest for (rule,) in rules) + 1,
        eos_token_id=ends,
        **generate_kwargs,
    )
    new = sequences[:, width:].tolist()
    return [ids[: next(place for place, token_id in enumerate(ids) if token_id in ends)] for ids in new]


def _lay_out(
    context: Sequence[int], order: Sequence[int], pieces: Sequence[Piece], config: Any
) -> tuple[list[int], torch.Tensor]:
    """The ids of a text, its pieces and the start of the next, and their positions (2, seq)."""
    blanks = [place for place, token_id in enumerate(context) if token_id in config.mask_token_ids]
    ids, row0, row1 = list(context), list(range(len(context))), [0] * len(context)
    for blank, piece in zip(order, [*pieces, []], strict=True):
        ids += [config.sop_token_id, *piece]
        row0 += [blanks[blank]] * (len(piece) + 1)
        row1 += range(1, len(piece) + 2)
    return ids, torch.tensor([row0, row1])

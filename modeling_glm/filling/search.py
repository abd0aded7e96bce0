"""How `generate` is asked for the answers of a batch of texts, and its ids read."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn import functional as F
from transformers import LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from ..generation_glm import end_token_ids
from .constraints import BlankConstraintLogitsProcessor
from .jobs import Job, pad_left
from .row_sampling import SampleByRowLogitsProcessor
from .score_recording import ScoreRecorder

# Below so many rows a step costs the same whatever their number.
FEW_ROWS = 4


@dataclass(kw_only=True)
class Answers:
    """
    What was found for the blanks of a text, from left to right.

    Attributes:
        pieces: The tokens of every answer, without start and end.
        log_probs: For every answer the natural logarithms of the probabilities of its tokens and, last, of its end; None
            where they have still to be found.
    """

    pieces: list[list[int]]
    log_probs: list[tuple[float, ...]] | None


@dataclass(kw_only=True)
class _Row:
    """A row of a batch: the ids behind its text, from the first start of piece on, and log-probabilities of all but it."""

    job: Job
    ids: list[int] = field(default_factory=list)
    log_probs: list[float] = field(default_factory=list)


def search_answers(
    model: Any,
    jobs: Sequence[Job],
    warpers: Sequence[LogitsProcessor],
    sampler: SampleByRowLogitsProcessor | None,
    generate_kwargs: dict[str, Any],
) -> list[list[Answers]]:
    """
    What greedy search, draws or beams find for the blanks of texts.

    Args:
        model: A [`GLMForConditionalGeneration`].
        jobs: The texts.
        warpers, sampler: Change the scores, and draw the tokens, where answers are drawn.
        generate_kwargs: Arguments of `generate`: num_beams, num_return_sequences and what the caller wants beyond them.

    Returns:
        For every text what was found, whole or not at all; beams leave the log-probabilities open.
    """
    settings = dict(generate_kwargs)
    samples = settings.pop("num_return_sequences")
    rows = [_Row(job=job) for job in jobs for _ in range(samples)]
    if settings["num_beams"] > 1:
        _run_beams(model, jobs, rows, settings)
    else:
        _run_rows(model, rows, warpers, sampler, settings)
    ends = end_token_ids(model.config)
    found = [_read(row, model.config.sop_token_id, ends) for row in rows]
    per_text = [found[start : start + samples] for start in range(0, len(rows), samples)]
    return [[answers for answers in of_text if answers is not None] for of_text in per_text]


def _run_beams(model: Any, jobs: Sequence[Job], rows: Sequence[_Row], settings: dict[str, Any]):
    input_ids, attention_mask = pad_left(model, [job.context for job in jobs])
    constraint = BlankConstraintLogitsProcessor(model.config, end_token_ids(model.config), [job.rules for job in jobs])
    sequences = model.generate(
        input_ids,
        attention_mask=attention_mask,
        logits_processor=LogitsProcessorList([constraint]),
        num_return_sequences=len(rows) // len(jobs),
        **_limits(model, jobs),
        **settings,
    )
    for row, ids in zip(rows, sequences[:, input_ids.shape[1] :].tolist(), strict=True):
        row.ids = ids


def _run_rows(
    model: Any,
    rows: Sequence[_Row],
    warpers: Sequence[LogitsProcessor],
    sampler: SampleByRowLogitsProcessor | None,
    settings: dict[str, Any],
):
    """
    Fills rows that do not know of each other. Whenever a quarter of them are filled, `generate` goes on with the others
    alone, from their part of the cache: filled rows cost as much as others.
    """
    config, ends = model.config, end_token_ids(model.config)
    shrinks = _may_shrink(model, settings)
    input_ids, attention_mask = pad_left(model, [row.job.context for row in rows])
    start, active = input_ids.shape[1], list(rows)
    resumed: dict[str, Any] = {}
    while active:
        recorder = ScoreRecorder(config.sop_token_id, ends)
        constraint = BlankConstraintLogitsProcessor(config, ends, [row.job.rules for row in active])
        limits = _limits(model, [row.job for row in active])
        limits["max_new_tokens"] -= max(0, input_ids.shape[1] - start - 1)
        criteria = [SomeFilled(ends)] if shrinks and len(active) > FEW_ROWS else []
        output = model.generate(
            input_ids,
            attention_mask=attention_mask,
            logits_processor=LogitsProcessorList([recorder, constraint, *warpers, *([sampler] if sampler else [])]),
            return_dict_in_generate=True,
            **({"stopping_criteria": StoppingCriteriaList(criteria)} if criteria else {}),
            **limits,
            **resumed,
            **settings,
        )
        sequences = output.sequences
        recorded = recorder.read(sequences)
        for number, (row, ids) in enumerate(zip(active, sequences[:, start:].tolist(), strict=True)):
            row.ids = ids
            row.log_probs += [] if recorded is None else recorded[number].tolist()
        left = [n for n, row in enumerate(active) if not any(token_id in ends for token_id in row.ids)]
        if not criteria or not left:
            return
        index = torch.tensor(left, device=sequences.device)
        active = [active[n] for n in left]
        if sampler:
            sampler.select(left)
        output.past_key_values.batch_select_indices(index)
        resumed = {"past_key_values": output.past_key_values}
        input_ids = sequences[index]
        attention_mask = F.pad(attention_mask[index], (0, input_ids.shape[1] - attention_mask.shape[1]), value=1)


class SomeFilled(StoppingCriteria):
    """Stops when a quarter of the rows have come to their end."""

    def __init__(self, end_token_ids: list[int]):
        self.end_token_ids = end_token_ids
        self._filled: torch.Tensor | None = None

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        ended = torch.isin(input_ids[:, -1], torch.tensor(self.end_token_ids, device=input_ids.device))
        self._filled = ended if self._filled is None else self._filled | ended
        return (4 * self._filled.sum() >= len(ended)).expand(len(ended))


def _may_shrink(model: Any, settings: dict[str, Any]) -> bool:
    """Whether rows can be taken out: not where the caller asks `generate` for more, such as another kind of cache."""
    own = {"num_beams", "do_sample", "temperature", "top_k", "top_p"}
    return set(settings) <= own and model.generation_config.cache_implementation is None


def _limits(model: Any, jobs: Sequence[Job]) -> dict[str, Any]:
    longest = max(rule.longest for job in jobs for rule in job.rules) + 1
    return {
        "eos_token_id": end_token_ids(model.config),
        "max_new_tokens": max(len(job.blanks) for job in jobs) * longest,
        "max_new_tokens_per_blank": longest,
    }


def _read(row: _Row, sop_token_id: int, ends: list[int]) -> Answers | None:
    """The answers of a row, or None where the last one has no end or some are missing."""
    pieces: list[list[int]] = []
    log_probs: list[tuple[float, ...]] = []
    start = 1
    for place, token_id in enumerate(row.ids[1:], start=1):
        if token_id not in ends and token_id != sop_token_id:
            continue
        pieces.append(row.ids[start:place])
        log_probs.append(tuple(row.log_probs[start - 1 : place]))
        start = place + 1
        if token_id in ends:
            scored = len(row.log_probs) >= place
            whole = len(pieces) == len(row.job.blanks)
            return Answers(pieces=pieces, log_probs=log_probs if scored else None) if whole else None
    return None

"""Find answers from left to right: by scoring closed sets, with beams, or greedily and by draws."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch.nn import functional as F
from transformers import LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from ..branches_glm import PieceLayout, pad_layouts
from ..configuration_glm import GLMConfig
from ..modeling_glm import GLMForConditionalGeneration
from ..settings_glm import end_token_ids
from ..utils.inference import fill_rows
from .jobs import FillingSettings, Job
from .processors import (
    BeamScoreRecorder,
    BlankConstraintLogitsProcessor,
    SampleByRowLogitsProcessor,
    ScoreRecorder,
)
from .results import ScoredCandidate, ScoredPiece
from .scoring import Candidates, GivenAnswers, Pieces, score_candidates, score_likeliest_forms

# With fewer rows, a step costs the same for any number of them.
FEW_ROWS = 4
# The most draws in a call of `generate`: many answers of many texts take memory for no more than these, or one for each text.
MAX_ROWS = 1024


class _Limits(NamedTuple):
    """Limits for `generate`."""

    eos_token_id: list[int]
    max_new_tokens: int
    max_new_tokens_per_blank: int


@dataclass(kw_only=True)
class _Row:
    """A row of a batch: its new ids from the first start of piece on, and the log-probabilities of all but that one."""

    job: Job
    sample: int = 0  # the number of the draw
    ids: list[int] = field(default_factory=list)
    log_probs: list[float] = field(default_factory=list)

    def read(self, config: GLMConfig) -> tuple[ScoredPiece, ...] | None:
        """
        Split the row into pieces. Returns None if a piece is missing or the last one has no end.

            ids        S  x  y  S  z  E      -> pieces     [x y] [z]
            log_probs     1  2  3  4  5                    [1 2 3] [4 5]
        """
        ends = end_token_ids(config)
        pieces: list[ScoredPiece] = []
        start = 1
        for place, token_id in enumerate(self.ids[1:], start=1):
            if token_id not in ends and token_id != config.sop_token_id:
                continue
            pieces.append(ScoredPiece(tuple(self.ids[start:place]), tuple(self.log_probs[start - 1 : place])))
            start = place + 1
            if token_id in ends:
                return tuple(pieces) if len(pieces) == len(self.job.blanks) else None
        return None


def score_closed_sets(
    model: GLMForConditionalGeneration, jobs: Sequence[Job], settings: FillingSettings
) -> list[list[ScoredCandidate]]:
    """
    Score all combinations of the closed sets of every text.

    Returns:
        For every text one candidate for each combination, in the likeliest form of its choices.
    """
    texts = [
        GivenAnswers(
            context=job.context,
            order=range(len(job.blanks)),
            rows=list(itertools.product(*((rule.choices or {}).values() for rule in job.rules))),
        )
        for job in jobs
    ]
    return score_likeliest_forms(model, texts, settings.batch_size)


def search_with_beams(
    model: GLMForConditionalGeneration, jobs: Sequence[Job], settings: FillingSettings
) -> list[list[ScoredCandidate]]:
    """
    Find the best joint answers of every text with beams.

    Returns:
        For every text its candidates: at most `settings.beams`, fewer where beams did not end.
    """
    layouts = [PieceLayout(job.context, model.config) for job in jobs]
    inputs = pad_layouts(layouts, model.padding_id, model.device)
    ends = end_token_ids(model.config)
    constraint = BlankConstraintLogitsProcessor(model.config, ends, [job.rules for job in jobs])
    recorder = BeamScoreRecorder(layouts[0].sop_token_id, ends, settings.beams)
    output = fill_rows(
        model,
        inputs.input_ids,
        attention_mask=inputs.attention_mask,
        score_observers=[recorder],
        logits_processor=LogitsProcessorList([constraint]),
        num_beams=settings.beams,
        num_return_sequences=settings.beams,
        length_penalty=settings.length_penalty,
        do_sample=False,
        return_dict_in_generate=True,
        **_find_limits(model.config, jobs)._asdict(),
        **settings.arguments_of(jobs),
    )
    rows = [_Row(job=job) for job in jobs for _ in range(settings.beams)]
    recorded = recorder.read(output)
    for number, ids in enumerate(output.sequences[:, inputs.input_ids.shape[1] :].tolist()):
        rows[number].ids = ids
        rows[number].log_probs = [] if recorded is None else recorded[number]
    return _collect(model, jobs, rows, settings)


def decode_rows(
    model: GLMForConditionalGeneration, jobs: Sequence[Job], settings: FillingSettings
) -> list[list[ScoredCandidate]]:
    """
    Find the greedy answer of every text, or draw several.

    When a quarter of the rows are filled, `generate` is called again with the others and their part of the cache, because
    filled rows cost as much as others.

    Returns:
        For every text its candidates: the greedy one, or one for each draw. Rows without an end are left out.
    """
    samples = settings.num_answers if settings.do_sample else 1
    rows = [_Row(job=job, sample=sample) for job in jobs for sample in range(samples)]
    most = max(MAX_ROWS, len(jobs))
    for start in range(0, len(rows), most):
        _decode(model, rows[start : start + most], settings)
    return _collect(model, jobs, rows, settings)


def _decode(model: GLMForConditionalGeneration, rows: list[_Row], settings: FillingSettings) -> None:
    """Write the ids and log-probabilities of rows."""
    config, ends = model.config, end_token_ids(model.config)
    sampler = None
    if settings.do_sample:
        numbers = [(settings.first_number + row.job.number, row.sample) for row in rows]
        sampler = SampleByRowLogitsProcessor(settings.seed, numbers)
    layouts = [PieceLayout(row.job.context, config) for row in rows]
    input_ids, attention_mask, *_ = pad_layouts(layouts, model.padding_id, model.device)
    start, active = input_ids.shape[1], rows
    resumed: dict[str, Any] = {}
    while active:
        recorder = ScoreRecorder(layouts[0].sop_token_id, ends)
        constraint = BlankConstraintLogitsProcessor(config, ends, [row.job.rules for row in active])
        processors = [constraint, *settings.warpers(), *([sampler] if sampler else [])]
        limits = _find_limits(config, [row.job for row in active])
        generated = max(0, input_ids.shape[1] - start - 1)
        stops_early = _may_shrink(model, settings) and len(active) > FEW_ROWS
        if stops_early:
            resumed["stopping_criteria"] = StoppingCriteriaList([SomeFilled(ends)])
        else:
            resumed.pop("stopping_criteria", None)
        output = fill_rows(
            model,
            input_ids,
            attention_mask=attention_mask,
            score_observers=[recorder],
            logits_processor=LogitsProcessorList(processors),
            # Draws are made by the processors, so `generate` must not shape them again.
            **({"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0} if sampler else {"do_sample": False}),
            num_beams=1,
            num_return_sequences=1,
            return_dict_in_generate=True,
            **limits._replace(max_new_tokens=limits.max_new_tokens - generated)._asdict(),
            **resumed,
            **settings.arguments_of(row.job for row in active),
        )
        sequences = output.sequences
        recorded = recorder.read(sequences)
        for number, (row, ids) in enumerate(zip(active, sequences[:, start:].tolist(), strict=True)):
            row.ids = ids
            row.log_probs += [] if recorded is None else recorded[number].tolist()
        left = [n for n, row in enumerate(active) if not any(token_id in ends for token_id in row.ids)]
        if not stops_early or not left:
            break
        index = torch.tensor(left, device=sequences.device)
        active = [active[n] for n in left]
        if sampler:
            sampler.select(left)
        output.past_key_values.batch_select_indices(index)
        resumed = {"past_key_values": output.past_key_values}
        input_ids = sequences[index]
        attention_mask = F.pad(attention_mask[index], (0, input_ids.shape[1] - attention_mask.shape[1]), value=1)


class SomeFilled(StoppingCriteria):
    """Stop when a quarter of the rows have ended."""

    def __init__(self, end_token_ids: list[int]):
        self.end_token_ids = end_token_ids
        self._filled: torch.Tensor | None = None

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        ended = torch.isin(input_ids[:, -1], torch.tensor(self.end_token_ids, device=input_ids.device))
        self._filled = ended if self._filled is None else self._filled | ended
        return (4 * self._filled.sum() >= len(ended)).expand(len(ended))


def _may_shrink(model: GLMForConditionalGeneration, settings: FillingSettings) -> bool:
    """Return whether rows may leave the batch. They may not with further arguments of `generate`, or another cache, or none."""
    saved = model.generation_config
    return not settings.generate_kwargs and saved.cache_implementation is None and saved.use_cache is not False


def _find_limits(config: GLMConfig, jobs: Sequence[Job]) -> _Limits:
    longest = max(rule.longest for job in jobs for rule in job.rules) + 1
    return _Limits(
        eos_token_id=end_token_ids(config),
        max_new_tokens=max(len(job.blanks) for job in jobs) * longest,
        max_new_tokens_per_blank=longest,
    )


def _as_candidates(job: Job, pieces: Sequence[Pieces]) -> Candidates:
    return Candidates(context=job.context, order=range(len(job.blanks)), pieces=pieces)


def _collect(
    model: GLMForConditionalGeneration, jobs: Sequence[Job], rows: Sequence[_Row], settings: FillingSettings
) -> list[list[ScoredCandidate]]:
    """Read the candidates of every text from its rows, which stand together. Score them if the search did not."""
    pieces = [row.read(model.config) for row in rows]
    per_text = len(rows) // len(jobs)
    found = [
        [ScoredCandidate(tuple(range(len(job.blanks))), whole) for whole in pieces[start : start + per_text] if whole]
        for job, start in zip(jobs, range(0, len(rows), per_text), strict=True)
    ]
    complete = all(
        len(piece.log_probs) == len(piece.token_ids) + 1
        for of_text in found
        for candidate in of_text
        for piece in candidate.pieces
    )
    if complete:
        return found
    texts = [
        _as_candidates(job, [[piece.token_ids for piece in candidate.pieces] for candidate in of_text])
        for job, of_text in zip(jobs, found, strict=True)
    ]
    return score_candidates(model, texts, settings.batch_size)

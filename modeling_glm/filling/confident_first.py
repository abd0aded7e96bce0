"""Fill blanks in the order of the model's confidence instead of from left to right."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

from transformers import LogitsProcessorList

from ..branches_glm import PieceLayout, pad_layouts
from ..modeling_glm import GLMForConditionalGeneration
from ..settings_glm import end_token_ids
from ..utils.inference import fill_rows
from .jobs import FillingSettings, Job
from .processors import BlankConstraintLogitsProcessor
from .results import ScoredCandidate
from .scoring import Candidates, score_candidates

# The least number of rows in a forward pass, because few rows cost as much as one. More rows than this only come with more
# texts, so memory does not grow with the square of the number of blanks.
LEAST_ROWS = 64
Piece = tuple[int, ...]


@dataclass
class _State:
    """
    Hold what was kept for a text so far: blanks in the order in which they were filled, and their pieces.

    `in_time` says that no time limit has ended the filling of the text.
    """

    job: Job
    order: list[int] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)
    in_time: bool = True

    def open_blanks(self) -> list[int]:
        return [blank for blank in range(len(self.job.blanks)) if blank not in self.order]

    def candidates(self, *added: tuple[int, Piece]) -> Candidates:
        """Build the candidate of the kept pieces and of further ones behind them."""
        return Candidates(
            context=self.job.context,
            order=[*self.order, *(blank for blank, _ in added)],
            pieces=[[*self.pieces, *(piece for _, piece in added)]],
        )


def fill_confident_first(
    model: GLMForConditionalGeneration, jobs: Sequence[Job], settings: FillingSettings
) -> list[list[ScoredCandidate]]:
    """
    Fill every text in rounds.

    In each round the model fills every open blank greedily as the next one. The answer with the best log-probability per
    token is kept, and the others are filled again behind it. A piece keeps the positions of its blank, so the model
    reads what it reads in pretraining, where the pieces are shuffled (paper section 2.1).

    `max_time` limits all rounds together, as it limits the one call of `generate` in the other searches.

    Returns:
        For every text one candidate, with its blanks in the order in which they were kept; none for a text that was not
        filled in time.
    """
    states = [_State(job) for job in jobs]
    seconds = settings.generate_kwargs.get("max_time")
    deadline = time.monotonic() + (math.inf if seconds is None else seconds)
    while asked := [(state, blank) for state in states if state.in_time for blank in state.open_blanks()]:
        found = list(zip(asked, _fill_next(model, asked, settings, deadline), strict=True))
        for (state, _), piece in found:
            state.in_time &= piece is not None
        tries = [(state, blank, piece) for (state, blank), piece in found if state.in_time and piece is not None]
        tried = [state.candidates((blank, piece)) for state, blank, piece in tries]
        scored = [candidate.pieces[-1] for (candidate,) in score_candidates(model, tried, _rows(settings))]
        for _, of_text in groupby(zip(tries, scored, strict=True), key=lambda one: id(one[0][0])):
            (state, blank, piece), _ = max(of_text, key=lambda one: sum(one[1].log_probs) / len(one[1].log_probs))
            state.order.append(blank)
            state.pieces.append(piece)
    filled = [state for state in states if state.in_time]
    scored_texts = iter(score_candidates(model, [state.candidates() for state in filled], settings.batch_size))
    return [next(scored_texts) if state.in_time else [] for state in states]


def _rows(settings: FillingSettings) -> int:
    """Count the rows of a forward pass. There is one for each try, and `batch_size` limits the texts."""
    return max(settings.batch_size, LEAST_ROWS)


def _fill_next(
    model: GLMForConditionalGeneration, asked: Sequence[tuple[_State, int]], settings: FillingSettings, deadline: float
) -> list[Piece | None]:
    """Fill each open blank greedily, behind the pieces that were kept for its text. None stands for one without an end."""
    pieces: list[Piece | None] = []
    for start in range(0, len(asked), _rows(settings)):
        seconds = deadline - time.monotonic()
        part = asked[start : start + _rows(settings)]
        pieces += _fill_rows(model, part, settings, seconds) if seconds > 0 else [None] * len(part)
    return pieces


def _fill_rows(
    model: GLMForConditionalGeneration, asked: Sequence[tuple[_State, int]], settings: FillingSettings, seconds: float
) -> list[Piece | None]:
    ends = end_token_ids(model.config)
    inputs = pad_layouts([_lay_out(model, state, blank) for state, blank in asked], model.padding_id, model.device)
    rules = [[state.job.rules[blank]] for state, blank in asked]
    limits = {} if seconds == math.inf else {"max_time": seconds}
    sequences = fill_rows(
        model,
        inputs.input_ids,
        attention_mask=inputs.attention_mask,
        position_ids=inputs.position_ids,
        logits_processor=LogitsProcessorList([BlankConstraintLogitsProcessor(model.config, ends, rules)]),
        max_new_tokens=max(rule.longest for (rule,) in rules) + 1,
        eos_token_id=ends,
        do_sample=False,
        num_beams=1,
        num_return_sequences=1,
        return_dict_in_generate=False,
        **{**settings.arguments_of(state.job for state, _ in asked), **limits},
    )
    new = sequences[:, inputs.input_ids.shape[1] :].tolist()
    ended = [next((place for place, token_id in enumerate(ids) if token_id in ends), None) for ids in new]
    return [None if end is None else tuple(ids[:end]) for ids, end in zip(new, ended, strict=True)]


def _lay_out(model: GLMForConditionalGeneration, state: _State, blank: int) -> PieceLayout:
    """Lay out a text, the pieces kept for it, and the start of the piece for `blank`."""
    layout = PieceLayout(state.job.context, model.config)
    for filled, piece in zip([*state.order, blank], [*state.pieces, ()], strict=True):
        layout.append(filled, [layout.sop_token_id, *piece])
    return layout

"""Fill blanks in the order of the model's confidence instead of from left to right."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from transformers import LogitsProcessorList

from ..generation_glm import end_token_ids
from ..modeling_glm import GLMForConditionalGeneration
from ..utils.inference import fill_rows
from .jobs import FillingSettings, Job
from .processors import BlankConstraintLogitsProcessor
from .results import ScoredCandidate
from .scoring import Candidates, PieceLayout, pad_layouts, score_candidates

Piece = tuple[int, ...]


@dataclass
class _State:
    """Hold what was kept for a text so far: blanks in the order in which they were filled, and their pieces."""

    job: Job
    order: list[int] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)

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

    Returns:
        For every text one candidate, with its blanks in the order in which they were kept.
    """
    states = [_State(job) for job in jobs]
    while asked := [(state, blank) for state in states for blank in state.open_blanks()]:
        pieces = _fill_next(model, asked, settings)
        tried = [state.candidates((blank, piece)) for (state, blank), piece in zip(asked, pieces, strict=True)]
        # One row for each try, as in the greedy search: batch_size limits the texts.
        means = [
            sum(last.log_probs) / len(last.log_probs)
            for (candidate,) in score_candidates(model, tried, len(tried))
            for last in [candidate.pieces[-1]]
        ]
        for state in states:
            rows = [row for row, (other, _) in enumerate(asked) if other is state]
            if rows:
                best = max(rows, key=means.__getitem__)
                state.order.append(asked[best][1])
                state.pieces.append(pieces[best])
    return score_candidates(model, [state.candidates() for state in states], settings.batch_size)


def _fill_next(
    model: GLMForConditionalGeneration, asked: Sequence[tuple[_State, int]], settings: FillingSettings
) -> list[Piece]:
    """Fill each open blank greedily, behind the pieces that were kept for its text."""
    ends = end_token_ids(model.config)
    inputs = pad_layouts([_lay_out(model, state, blank) for state, blank in asked], model.padding_id, model.device)
    rules = [[state.job.rules[blank]] for state, blank in asked]
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
        **settings.generate_kwargs,
    )
    new = sequences[:, inputs.input_ids.shape[1] :].tolist()
    return [tuple(ids[: next(place for place, token_id in enumerate(ids) if token_id in ends)]) for ids in new]


def _lay_out(model: GLMForConditionalGeneration, state: _State, blank: int) -> PieceLayout:
    """Lay out a text, the pieces kept for it, and the start of the piece for `blank`."""
    layout = PieceLayout(state.job.context, model.config)
    for filled, piece in zip([*state.order, blank], [*state.pieces, ()], strict=True):
        layout.append(filled, [layout.sop_token_id, *piece])
    return layout

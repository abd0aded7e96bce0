"""Score given continuations of contexts: their log-probabilities, and whether the model would write them greedily."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, takewhile
from typing import Any, NamedTuple

import torch
from tqdm.auto import tqdm

from ..branches_glm import MAX_LOGIT_ROWS, PieceLayout, pad_layouts
from ..configuration_glm import GLMConfig
from ..filling.scoring import MAX_BRANCH_TOKENS
from ..utils.inference import compute_hidden_states, evaluation_mode, require_class
from ..utils.numbers import check_batch_size
from ..utils.rows import RowError, in_batches

MODELS_WITH_HEAD = ("GLMForConditionalGeneration", "GLMForMultipleChoice")


class ContinuationRow(NamedTuple):
    """
    Hold a context and continuations that fill a blank of it.

    Attributes:
        context: The ids of Part A, with a mask token.
        continuations: The ids of every continuation, without start and end of the piece.
        skip: How many tokens of every continuation are read and not scored.
        blank: The number of the blank among those of the context, from 0. -1 is the last.
    """

    context: Sequence[int]
    continuations: Sequence[Sequence[int]]
    skip: int = 0
    blank: int = 0


@dataclass(frozen=True)
class ScoredContinuation:
    """
    Hold the scores of one continuation. The end of the piece is not scored.

    Attributes:
        log_probs: The natural logarithm of the probability of every token, behind the context and the tokens before it.
        is_greedy: For every token, whether it is the likeliest one there.
    """

    log_probs: list[float]
    is_greedy: list[bool]

    @property
    def log_prob(self) -> float:
        """The log-probability of the whole continuation."""
        return sum(self.log_probs)

    @property
    def all_greedy(self) -> bool:
        """Whether greedy search would write the continuation."""
        return all(self.is_greedy)


class _ContinuationPart(NamedTuple):
    """Continuations of one context that fit into one row."""

    row: int  # the number of the caller's row
    first: int  # the number of the first continuation
    content: ContinuationRow
    length: int  # in tokens


class _TokenQuery(NamedTuple):
    """Hold a token to score: the column that predicts it, and its id."""

    column: int
    target: int


def score_continuations(
    model: Any,
    rows: Iterable[ContinuationRow | tuple[Sequence[int], Sequence[Sequence[int]]]],
    *,
    batch_size: int = 32,
    progress: bool = False,
) -> list[list[ScoredContinuation]]:
    """
    Score continuations of contexts token by token.

    The model reads a context once for all its continuations. Each is a branch behind the context and the start of a
    piece, and sees no other. Rows of similar length share a batch, and only the scored places go through the projection
    to the vocabulary. Results do not depend on batching.

        ids       [CLS] a M <eos> S | x y | z        continuations "x y v" and "z w": v and w are only predicted
        branch      0   0 0   0   0 | 1 1 | 2

    Args:
        model: A `GLMForConditionalGeneration` or `GLMForMultipleChoice`, or a PEFT wrapper around one.
        rows: The contexts with their continuations: pairs of ids, or `ContinuationRow`.
        batch_size: The number of contexts in a forward pass. A context with very many continuations takes several rows.
        progress: Whether to show a progress bar.

    Returns:
        For every row its scored continuations, in the order given.

    Raises:
        RowError: For a context without its blank, and for contexts and continuations longer than the position table.
        ValueError: For a model without a projection to the vocabulary.
    """
    check_scoring_model(model)
    batch_size = check_batch_size("batch_size", batch_size)
    listed = [row if isinstance(row, ContinuationRow) else ContinuationRow(*row) for row in rows]
    for number, row in enumerate(listed):
        check_continuation_row(row, number, model.config)
    parts = sorted(chain.from_iterable(map(_split, range(len(listed)), listed)), key=lambda part: part.length)
    scored = [[ScoredContinuation([], []) for _ in row.continuations] for row in listed]
    with evaluation_mode(model), tqdm(total=len(parts), disable=not progress, desc="scoring") as bar:
        for _, batch in in_batches(parts, batch_size):
            for part, found in zip(batch, _score_parts(model, batch), strict=True):
                scored[part.row][part.first : part.first + len(found)] = found
            bar.update(len(batch))
    return scored


def check_scoring_model(model: torch.nn.Module) -> None:
    """Raise a `ValueError` for a model that cannot score continuations."""
    require_class(model, *MODELS_WITH_HEAD)
    config: Any = model.config
    config.require_token_ids("sop_token_id", purpose="Scoring continuations")


def check_continuation_row(row: ContinuationRow, number: int, config: GLMConfig) -> None:
    """
    Raise a `RowError` for a row that the model cannot score.

    Args:
        row: The context and its continuations.
        number: The caller's number of the row.
        config: The config of the model.
    """
    masks = set(config.mask_token_ids)
    blanks = sum(token_id in masks for token_id in row.context)
    if not -blanks <= row.blank < blanks:
        raise RowError(
            number, f"The row has {blanks} mask tokens, but blank {row.blank} is scored: expected a mask token for it."
        )
    if len(row.context) > config.max_context_length:
        raise RowError(
            number,
            f"The context has {len(row.context)} tokens, but the position table holds {config.max_context_length}: "
            "shorten it.",
        )
    longest = max(map(len, row.continuations), default=0)
    if longest > config.max_piece_length:
        raise RowError(
            number,
            f"A continuation has {longest} tokens, but the position table holds {config.max_piece_length}: shorten it.",
        )


def _find_common(row: ContinuationRow) -> list[int]:
    """Find the tokens that the model reads at the start of all continuations. The last of each is only predicted."""
    places = zip(*(continuation[:-1] for continuation in row.continuations), strict=False)
    return [tokens[0] for tokens in takewhile(lambda tokens: len(set(tokens)) == 1, places)]


def _split(number: int, row: ContinuationRow) -> Iterator[_ContinuationPart]:
    """Split the continuations of a row so that no part has many tokens beside those that all share."""
    common = len(_find_common(row))
    own = [max(0, len(continuation) - 1 - common) for continuation in row.continuations]
    first, width = 0, 0
    bounds = []
    for index, count in enumerate(own):
        if index > first and width + count > MAX_BRANCH_TOKENS:
            bounds.append((first, index))
            first, width = index, 0
        width += count
    if own:
        bounds.append((first, len(own)))
    for start, stop in bounds:
        length = len(row.context) + 1 + common + sum(own[start:stop])
        yield _ContinuationPart(number, start, row._replace(continuations=row.continuations[start:stop]), length)


def _score_parts(model: Any, parts: Sequence[_ContinuationPart]) -> Iterator[list[ScoredContinuation]]:
    """Score the parts of a batch in one forward pass."""
    layouts, queries = zip(*(_lay_out(part.content, model.config) for part in parts), strict=True)
    inputs = pad_layouts(layouts, 0, model.device)  # the id does not matter: it is masked
    # A single continuation sees all before it, which needs no branches and a cheaper mask.
    branch = inputs.branch if any(len(part.content.continuations) > 1 for part in parts) else None
    hidden_states = compute_hidden_states(model, inputs.input_ids, inputs.attention_mask, inputs.position_ids, branch)
    width = inputs.input_ids.shape[1]
    # Columns count from the start of a layout, which stands behind the padding.
    wanted = [
        _TokenQuery(number * width + width - len(layout.ids) + query.column, query.target)
        for number, (layout, of_row) in enumerate(zip(layouts, queries, strict=True))
        for query in of_row
    ]
    found = iter(_look_up(model, hidden_states.flatten(0, 1), wanted))
    for part in parts:
        row = part.content
        yield [_take(found, max(0, len(continuation) - row.skip)) for continuation in row.continuations]


def _lay_out(row: ContinuationRow, config: GLMConfig) -> tuple[PieceLayout, list[_TokenQuery]]:
    """Lay out a context and the continuations behind it, and say what is predicted where."""
    layout = PieceLayout(row.context, config)
    blank = row.blank % len(layout.blanks)
    # All read the start of the piece and the tokens with which all begin.
    common = [layout.sop_token_id, *_find_common(row)]
    shared = layout.append(blank, common)
    queries: list[_TokenQuery] = []
    for branch, continuation in enumerate(row.continuations, start=1):
        own = continuation[len(common) - 1 : -1]
        fed = layout.append(blank, own, first=len(common) + 1, branch=branch)
        queries += list(map(_TokenQuery, [*shared, *fed], continuation))[row.skip :]
    return layout, queries


def _look_up(model: Any, hidden_states: torch.Tensor, wanted: Sequence[_TokenQuery]) -> Iterator[tuple[float, bool]]:
    """Find for every token its log-probability at its place among the hidden states (places, hidden)."""
    for _, part in in_batches(wanted, MAX_LOGIT_ROWS):
        columns, targets = torch.tensor(part, device=hidden_states.device).unbind(1)
        # Continuations share the start of the piece, so a place may be wanted many times: project it once.
        #     places wanted [7 7 9] -> places [7 9], index [0 0 1]
        places, index = torch.unique(columns, return_inverse=True)
        logits = model.vocabulary_logits(hidden_states[places]).float()
        log_probs = logits[index, targets] - logits.logsumexp(-1)[index]
        yield from zip(log_probs.tolist(), (logits.argmax(-1)[index] == targets).tolist(), strict=True)


def _take(found: Iterator[tuple[float, bool]], count: int) -> ScoredContinuation:
    """Read the scores of one continuation, which come in the order of its queries."""
    scores = [next(found) for _ in range(count)]
    return ScoredContinuation([log_prob for log_prob, _ in scores], [greedy for _, greedy in scores])


__all__ = [
    "ContinuationRow",
    "ScoredContinuation",
    "check_continuation_row",
    "check_scoring_model",
    "score_continuations",
]

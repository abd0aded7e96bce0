"""Exact log-probabilities of given answers, many for one text in one forward pass."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..generation_glm import end_token_ids
from ..tokenization import GLMTokenizer
from ..utils.inference import evaluation_mode
from .results import Filling, build_filling, check_blanks, encode_answers

# Of a row with all candidates of a text, behind the text, and of the logits that are there at a time.
MAX_BRANCH_TOKENS = 512
MAX_LOGIT_ROWS = 1024
Pieces = Sequence[Sequence[int]]


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """
    A text and sets of pieces for its blanks.

    Attributes:
        context: The ids of the text.
        order: The blanks that are filled, numbered from 0, in the order in which they are.
        pieces: Sets of pieces: for every blank in that order its tokens, without start and end.
    """

    context: Sequence[int]
    order: Sequence[int]
    pieces: Sequence[Pieces]


def score_pieces(model: Any, texts: Sequence[Candidates], batch_size: int = 32) -> list[list[list[tuple[float, ...]]]]:
    """
    The log-probability of every token and of every end, for all candidates of all texts.

    A text is read once for all its candidates: each of them is a branch behind it that sees the text and itself (as
    choices are in `GLMForMultipleChoice`).

    Args:
        model: A model with a projection to the vocabulary.
        texts: The texts with their candidates.
        batch_size: Texts of a forward pass.

    Returns:
        For every text, candidate and piece the natural logarithms of the probabilities of its tokens and, last, of its
        end, which the end of a piece and the end of a text share.

    Raises:
        ValueError: for an order that names a blank which the text has not, and inputs beyond the position table.
    """
    chunks = sorted(_chunks(texts), key=lambda chunk: len(chunk[2].context) + sum(map(_fed, chunk[2].pieces)))
    scores: list[list[list[tuple[float, ...]]]] = [[[] for _ in text.pieces] for text in texts]
    for start in range(0, len(chunks), batch_size):
        batch = chunks[start : start + batch_size]
        found = _score_rows(model, [candidates for *_, candidates in batch])
        for (number, first, _), rows in zip(batch, found, strict=True):
            scores[number][first : first + len(rows)] = rows
    return scores


def score_fillings(
    model: Any, tokenizer: GLMTokenizer, text: str, fillings: Sequence[str | Sequence[str]], *, batch_size: int = 32
) -> list[Filling]:
    """
    How likely the model finds given answers for the blanks of a text: exactly, and all of them in one pass.

    Example:

    ```python
    >>> fillings = score_fillings(model, tokenizer, "The [MASK] runs [MASK].", [["dog", "home"], ["cat", "away"]])
    >>> [filling.log_prob for filling in fillings]
    ```

    Args:
        model: A [`GLMForConditionalGeneration`] or [`GLMForMultipleChoice`].
        tokenizer: Its tokenizer.
        text: A text with blanks.
        fillings: Sets of answers, one answer for every blank; for a text with one blank also plain strings.
        batch_size: Rows of a forward pass; a text with very many answers takes several rows.

    Returns:
        A [`Filling`] for each of them, in the order given. Its `log_prob` is the sum over the tokens of all answers and
        their ends, of what the model gives each after the text and all before it (paper equation 1).

    Raises:
        ValueError: for a text without a blank, and another number of answers than of blanks.
    """
    (num_blanks,) = check_blanks(tokenizer, [text])
    answers = [[filling] if isinstance(filling, str) else list(filling) for filling in fillings]
    for number, row in enumerate(answers):
        if len(row) != num_blanks:
            raise ValueError(
                f"fillings[{number}] has {len(row)} answers, but the text has {num_blanks} blanks: {text!r}."
            )
    if not answers:
        return []
    pieces = [encode_answers(tokenizer, text, row) for row in answers]
    context = tokenizer(text)["input_ids"]
    candidates = Candidates(context=context, order=range(num_blanks), pieces=pieces)
    with evaluation_mode(model):
        (scores,) = score_pieces(model, [candidates], batch_size)
    return [
        build_filling(tokenizer, text, row, dict(enumerate(ids)), dict(enumerate(log_probs)))
        for row, ids, log_probs in zip(answers, pieces, scores, strict=True)
    ]


def _chunks(texts: Sequence[Candidates]) -> Iterator[tuple[int, int, Candidates]]:
    """Parts of the candidates of a text that fit into a row: number of the text, first candidate, the part."""
    for number, text in enumerate(texts):
        if not text.order:  # nothing to score
            continue
        first, width = 0, 0
        for index, pieces in enumerate(text.pieces):
            added = _fed(pieces)
            if index > first and width + added > MAX_BRANCH_TOKENS:
                yield number, first, _cut(text, first, index)
                first, width = index, 0
            width += added
        if text.pieces:
            yield number, first, _cut(text, first, len(text.pieces))


def _cut(text: Candidates, first: int, stop: int) -> Candidates:
    return Candidates(context=text.context, order=text.order, pieces=text.pieces[first:stop])


def _fed(pieces: Pieces) -> int:
    """How many tokens a candidate has, the starts of its pieces included."""
    return sum(map(len, pieces)) + len(pieces)


def _score_rows(model: Any, rows: Sequence[Candidates]) -> list[list[list[tuple[float, ...]]]]:
    config = model.config
    layouts = [_lay_out(row, config) for row in rows]
    length = max(len(ids) for ids, *_ in layouts)
    device = model.device
    ids, row0, row1, branch, real = (torch.zeros(len(rows), length, dtype=torch.long) for _ in range(5))
    for number, (layout_ids, layout_row0, layout_row1, layout_branch, _) in enumerate(layouts):
        filled = slice(0, len(layout_ids))
        ids[number, filled] = torch.tensor(layout_ids)
        row0[number, filled] = torch.tensor(layout_row0)
        row1[number, filled] = torch.tensor(layout_row1)
        branch[number, filled] = torch.tensor(layout_branch)
        real[number, filled] = 1
    hidden_states = model.glm(
        ids.to(device),
        attention_mask=real.to(device),
        position_ids=torch.stack((row0, row1), dim=1).to(device),
        branch=branch.to(device),
        use_cache=False,
    ).last_hidden_state
    # Where a token or an end is predicted, by its row and column, and what: an end where the target is -1.
    wanted = [(number, *query) for number, layout in enumerate(layouts) for query in layout[4]]
    found: list[float] = []
    for start in range(0, len(wanted), MAX_LOGIT_ROWS):
        part = torch.tensor(wanted[start : start + MAX_LOGIT_ROWS], device=device)
        # Candidates share the first start of piece: what stands in one place is projected once.
        places, index = torch.unique(part[:, 0] * length + part[:, 1], return_inverse=True)
        scores = model._predict(hidden_states.flatten(0, 1)[places]).float().log_softmax(-1)
        ends = scores[:, end_token_ids(config)].logsumexp(-1)
        targets = part[:, 2]
        found += torch.where(targets < 0, ends[index], scores[index, targets.clamp(min=0)]).tolist()
    flat = iter(found)
    return [
        [[tuple(next(flat) for _ in range(len(piece) + 1)) for piece in pieces] for pieces in row.pieces]
        for row in rows
    ]


def _lay_out(row: Candidates, config: Any) -> tuple[list[int], list[int], list[int], list[int], list[tuple[int, int]]]:
    """
    Ids, both rows of positions and branches of a text and its candidates, and what is predicted where. The first start
    of piece stands in branch 0, which all branches see:

        ids     [CLS] a M b M <eos> S | x  S z | y  S z
        branch     0  0 0 0 0   0   0 | 1  1 1 | 2  2 2
    """
    masks = config.mask_token_ids
    blanks = [place for place, token_id in enumerate(row.context) if token_id in masks]
    if len(set(row.order)) < len(row.order) or not set(row.order) <= set(range(len(blanks))):
        raise ValueError(f"order={list(row.order)} must name blanks of the text, 0 to {len(blanks) - 1}, once each.")
    start = len(row.context)
    ids = [*row.context, config.sop_token_id]
    row0 = [*range(start), blanks[row.order[0]]]
    row1, branch = [*([0] * start), 1], [0] * (start + 1)
    queries: list[tuple[int, int]] = []
    for number, pieces in enumerate(row.pieces, start=1):
        before = start
        for place, piece in enumerate(pieces):
            fed = list(piece) if place == 0 else [config.sop_token_id, *piece]
            columns = range(len(ids), len(ids) + len(fed))
            predicting = [before, *columns] if place == 0 else list(columns)
            queries += zip(predicting, [*piece, -1], strict=True)
            ids += fed
            row0 += [blanks[row.order[place]]] * len(fed)
            row1 += range(2 if place == 0 else 1, len(piece) + 2)
            branch += [number] * len(fed)
    return ids, row0, row1, branch, queries

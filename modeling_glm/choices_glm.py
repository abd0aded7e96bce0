"""
Score choices for a blank: how the inputs are laid out, and how scores become classes and a loss (cloze classification,
paper section 2.3).

Shapes: P patterns of one question, C classes (labels, or choices of the example), W words for each of them.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch.nn import functional as F

from .configuration_glm import GLMConfig
from .inputs_glm import (
    find_outside,
    is_exported,
    is_readable,
    is_traced,
    require_everywhere,
    require_integers,
    require_mask,
    require_some,
    require_zeros_and_ones,
)
from .layout_glm import (
    Parts,
    find_parts,
    positions_of,
)


class ChoiceShape(NamedTuple):
    """The sizes behind the flat rows and choices of `ChoiceInputs`: (batch, P, C, W)."""

    batch: int
    patterns: int
    classes: int
    words: int


class ChoiceInputs(NamedTuple):
    """
    The inputs of `GLMForMultipleChoice` in one form: every pattern is a row, and every word a choice of its row.

    Attributes:
        input_ids: (rows, seq) contexts; where `choice_ids` is None, each with one choice behind its start of piece.
        attention_mask: (rows, seq), 0 for padding, or None.
        position_ids: (rows, 2, seq), or None.
        choice_ids: (rows, choices, length), -100 behind the end of a choice; None where the rows hold the choices.
        shape: How rows and choices become (batch, P, C, W).
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor | None
    position_ids: torch.Tensor | None
    choice_ids: torch.Tensor | None
    shape: ChoiceShape


class ChoiceBranches(NamedTuple):
    """
    Contexts and, behind each, its choices side by side: inputs of `GLMModel`.

    Attributes:
        input_ids: (rows, seq + 1 + choices * (length - 1)).
        attention_mask: The same shape, True for real tokens.
        position_ids: (rows, 2, ...).
        branch: The same shape as `input_ids`: 0 for the context and the start of piece, k for choice k.
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    position_ids: torch.Tensor
    branch: torch.Tensor


class ChoiceRows(NamedTuple):
    """
    Hold the mask and targets of rows with one choice each.

    Attributes:
        attention_mask: (rows, seq) bool, True for real tokens, and for all of an absent choice.
        targets: (rows, seq - 1), the token that must follow, -100 where none must.
    """

    attention_mask: torch.Tensor
    targets: torch.Tensor


class WordScores(NamedTuple):
    """
    Attributes:
        token_counts: (batch, P, C, W) tokens of every word, 0 for an absent one.
        log_probs: (batch, P, C, W) log-probability of every word, 0 for an absent one.
    """

    token_counts: torch.Tensor
    log_probs: torch.Tensor


def read_choices(
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor | None,
    position_ids: torch.Tensor | None,
    choice_ids: torch.Tensor | None,
) -> ChoiceInputs:
    """
    Bring the accepted forms of input to one.

        input_ids               choice_ids
        (batch, seq)            (batch, choices, length)
        (batch, seq)            (batch, labels, words, length)
        (batch, patterns, seq)  (batch, patterns, choices, length)
        (batch, patterns, seq)  (batch, patterns, labels, words, length)
        (batch, choices, seq)   None

    Raises:
        ValueError: if types or shapes do not fit together.
    """
    input_ids = require_integers(input_ids, "input_ids", "(batch, seq) or (batch, patterns, seq)").long()
    if choice_ids is not None:
        choice_ids = require_integers(choice_ids, "choice_ids", "(batch, choices, length)").long()
    leading = input_ids.shape[:-1]
    if not is_traced():
        _check_shapes(input_ids, attention_mask, position_ids, choice_ids)
    if choice_ids is None:
        shape = ChoiceShape(batch=leading[0], patterns=1, classes=leading[1], words=1)
    else:
        if choice_ids.ndim == input_ids.ndim + 1:
            choice_ids = choice_ids.unsqueeze(-2)  # every choice is a class of one word
        classes, words, length = choice_ids.shape[-3:]
        shape = ChoiceShape(leading[0], 1 if len(leading) == 1 else leading[1], classes, words)
        choice_ids = choice_ids.reshape(-1, classes * words, length)
        if is_exported():
            # All tokens of a choice but the last are fed. With one column more, an example whose longest choice has two
            # tokens has two columns to feed, and the graph does not take their number for the constant 1.
            choice_ids = F.pad(choice_ids, (0, 1), value=-100)
    return ChoiceInputs(
        input_ids=input_ids.reshape(-1, input_ids.shape[-1]),
        attention_mask=None if attention_mask is None else attention_mask.reshape(-1, input_ids.shape[-1]),
        position_ids=None if position_ids is None else position_ids.reshape(-1, *position_ids.shape[-2:]),
        choice_ids=choice_ids,
        shape=shape,
    )


def _check_shapes(
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor | None,
    position_ids: torch.Tensor | None,
    choice_ids: torch.Tensor | None,
):
    require_some(input_ids, "input_ids")
    if choice_ids is not None:
        require_some(choice_ids, "choice_ids")
    leading = input_ids.shape[:-1]
    has_patterns = input_ids.ndim == 3
    if choice_ids is None:
        fits = has_patterns
    elif has_patterns and choice_ids.ndim == 3:
        raise ValueError("input_ids of shape (batch, choices, seq) holds the choices itself: give no choice_ids.")
    else:
        fits = (
            input_ids.ndim in (2, 3)
            and choice_ids.ndim - input_ids.ndim in (1, 2)
            and choice_ids.shape[: len(leading)] == leading
        )
    if not fits:
        found = None if choice_ids is None else tuple(choice_ids.shape)
        names = "batch, patterns" if has_patterns else "batch"
        raise ValueError(
            f"choice_ids has shape {found}, input_ids {tuple(input_ids.shape)}: expected ({names}, choices, length) or "
            f"({names}, labels, words, length) with ({names}) = {tuple(leading)}, -100 behind the end of a choice; or "
            "give input_ids of shape (batch, choices, seq) alone."
        )
    if attention_mask is not None:
        require_mask(attention_mask, "attention_mask")
        if attention_mask.shape != input_ids.shape:
            raise ValueError(
                f"attention_mask has shape {tuple(attention_mask.shape)}: expected that of input_ids, "
                f"{tuple(input_ids.shape)}."
            )
        require_zeros_and_ones(attention_mask, "attention_mask")
    if position_ids is not None:
        shape = (*leading, 2, input_ids.shape[-1])
        require_integers(position_ids, "position_ids", f"{shape}")
        if position_ids.shape != shape:
            raise ValueError(
                f"position_ids has shape {tuple(position_ids.shape)}: expected {shape}, row 0 for the place in the text, row 1 "
                "for the place in the piece."
            )


def _check_choices(choice_ids: torch.Tensor, config: GLMConfig):
    """Raise a `ValueError` for choices (rows, choices, length) with ids outside the vocabulary, or with gaps."""
    if not is_readable(choice_ids):
        return
    present = choice_ids != -100
    if (place := find_outside(torch.where(present, choice_ids, 0), config.vocab_size)) is not None:
        raise ValueError(
            f"choice_ids{place} = {int(choice_ids[tuple(place)])}: expected ids of the vocabulary, 0 ... "
            f"{config.vocab_size - 1}, and -100 behind the end of a choice."
        )
    gaps = present[..., 1:] & ~present[..., :-1]
    if gaps.any():
        raise ValueError(
            f"choice_ids{gaps.nonzero()[0].tolist()} = -100 stands before a token of its choice: expected -100 only behind the "
            "end of a choice."
        )


def lay_out_branches(choices: ChoiceInputs, config: GLMConfig) -> ChoiceBranches:
    """
    Put the choices of every row side by side behind its context.

    A choice c1 ... cn is fed as <sop> c1 ... c(n-1), and must predict c1 ... cn. The start of piece S is the same for
    all choices, so it stands once behind the context, in branch 0, which every branch sees. With the choices
    [x y z] and [u v] for the blank M:

        ids     [CLS] a  M  b <eos> S  x  y  u  -
        branch    0   0  0  0   0   0  1  1  2  2
        row 0     0   1  2  3   4   2  2  2  2  2
        row 1     0   0  0  0   0   1  2  3  2  3

    Raises:
        ValueError: if a row has no choice, or no blank that is not filled yet, and for choices that are no ids.
    """
    input_ids, choice_ids = choices.input_ids, choices.choice_ids
    assert choice_ids is not None
    assert config.sop_token_id is not None
    _check_choices(choice_ids, config)
    rows, count, length = choice_ids.shape
    present = choice_ids != -100
    require_everywhere(present.flatten(1).any(-1), "choice_ids has a row without a single choice: row {row}.")
    parts = find_parts(input_ids, config, choices.attention_mask)
    positions = choices.position_ids
    if positions is None:
        positions = positions_of(parts)

    start = choice_ids.new_full((rows, 1), config.sop_token_id)
    fed = torch.cat((start, choice_ids[..., :-1].clamp(min=0).flatten(1)), dim=1)
    row0 = _next_blank(parts, positions, config).expand_as(fed)
    within = torch.arange(2, length + 1, device=fed.device).expand(count, -1).flatten()  # [2 3 2 3]
    row1 = torch.cat((start.new_ones(1), within)).expand_as(fed)
    number = torch.arange(1, count + 1, device=fed.device)[:, None].expand(-1, length - 1).flatten()  # [1 1 2 2]
    branch = torch.cat((start.new_zeros(1), number)).expand_as(fed)
    # The last token of a choice is only a target, so a fed token is real where its successor is present.
    real = torch.cat((torch.ones_like(start, dtype=torch.bool), present[..., 1:].flatten(1)), dim=1)
    return ChoiceBranches(
        input_ids=torch.cat((input_ids, fed), dim=1),
        attention_mask=torch.cat((parts.real, real), dim=1),
        position_ids=torch.cat((positions, torch.stack((row0, row1), dim=1)), dim=2),
        branch=torch.cat((torch.zeros_like(input_ids), branch), dim=1),
    )


def _next_blank(parts: Parts, position_ids: torch.Tensor, config: GLMConfig) -> torch.Tensor:
    """Find the position of the first blank that no piece fills yet: (rows, 1)."""
    is_next = parts.blanks & (parts.blanks.cumsum(-1) == parts.piece[:, -1:] + 1)
    require_everywhere(
        is_next.any(-1),
        "a context has no blank left to score choices for (row {row}): put one of the mask tokens "
        f"(ids {config.mask_token_ids}) into every text.",
    )
    return position_ids[:, 0].gather(1, is_next.int().argmax(-1, keepdim=True))


def lay_out_rows(choices: ChoiceInputs, config: GLMConfig) -> ChoiceRows:
    """
    Find the targets of rows that hold a context and, behind a start of piece, their choice.

    The next token of the same piece is the target: of the start of piece the first token of the choice, of the last
    token none. Padding inside a choice is skipped. With `-` for padding:

        ids      [CLS] M <eos> S  x  -  y
        targets     .  .    .  x  y  .

    A row of padding is an absent choice; it is left unmasked, because a query must see something.

    Raises:
        ValueError: if a row has no choice.
    """
    ids = choices.input_ids
    real, _, piece, _ = find_parts(ids, config, choices.attention_mask)
    absent = ~real.any(-1)
    # Real token k writes its id and its piece into column k. So column k + 1 has those of the next real token.
    count = real.cumsum(-1)
    column = torch.where(real, count, 0)
    empty = ids.new_zeros(ids.shape[0], ids.shape[1] + 2)
    next_ids = empty.scatter(1, column, ids).gather(1, count + 1)[:, :-1]
    next_piece = empty.scatter(1, column, piece).gather(1, count + 1)[:, :-1]
    following = real[:, :-1] & (piece[:, :-1] > 0) & (next_piece == piece[:, :-1])
    require_everywhere(
        following.any(-1) | absent,
        "a row of input_ids (batch, choices, seq) holds no choice (row {row} of all): each must be a context, the start of piece "
        f"(id {config.sop_token_id}) and the tokens of the choice. Or give the contexts as (batch, seq) and choice_ids.",
    )
    return ChoiceRows(attention_mask=real | absent[:, None], targets=torch.where(following, next_ids, -100))


def score_first_and_later(
    project: Callable[[torch.Tensor], torch.Tensor], hidden_states: torch.Tensor, targets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Score what follows the first hidden state and the later ones of every row.

    One matmul gives both, because for few tokens its cost is reading the weight.

    Args:
        project: The projection of (..., hidden) to (..., vocabulary).
        hidden_states: (rows, 1 + seq, hidden).
        targets: (rows, seq) tokens that follow the later ones, -100 for none.

    Returns:
        (rows, vocabulary) log-probabilities behind the first, and (rows, seq) those of the targets, 0 for none; in fp32.
    """
    first, later = hidden_states[:, 0], hidden_states[:, 1:]
    if torch.compiler.is_compiling():
        return project(first).float().log_softmax(-1), score_tokens(project, later, targets)
    wanted = targets != -100
    logits = project(torch.cat((first, later[wanted]))).float()
    scores = -F.cross_entropy(logits[len(first) :], targets[wanted], reduction="none")
    return logits[: len(first)].log_softmax(-1), scores.new_zeros(targets.shape).masked_scatter(wanted, scores)


def score_tokens(
    project: Callable[[torch.Tensor], torch.Tensor], hidden_states: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """
    Compute the log-probability in fp32 of every target, 0 where it is -100.

    Args:
        project: The projection of (..., hidden) to (..., vocabulary).
        hidden_states: (rows, seq, hidden).
        targets: (rows, seq) tokens that follow, -100 for none.

    Returns:
        (rows, seq).
    """
    if torch.compiler.is_compiling():  # a compiled graph needs fixed shapes and projects all tokens
        logits = project(hidden_states).float().transpose(1, 2)
        return -F.cross_entropy(logits, targets, ignore_index=-100, reduction="none")
    wanted = targets != -100
    scores = -F.cross_entropy(project(hidden_states[wanted]).float(), targets[wanted], reduction="none")
    return scores.new_zeros(targets.shape).masked_scatter(wanted, scores)


def class_scores(words: WordScores, length_penalty: float) -> torch.Tensor:
    """
    Turn log-probabilities of words into scores of classes. The probability of a class is the sum of those of its words.
    The log-probabilities of several patterns are averaged, as PET does (Schick and Schütze 2021, section 3.2).

    Args:
        words: Token counts and log-probabilities, both (batch, P, C, W).
        length_penalty: The score of a word is divided by its number of tokens to the power of this.

    Returns:
        (batch, C), -inf for an absent class.
    """
    present, scores = words.token_counts > 0, words.log_probs
    if length_penalty != 0.0:
        scores = scores / words.token_counts.clamp(min=1).to(scores.dtype) ** length_penalty
    if scores.shape[-1] == 1:  # one word for every class, as for choices of the example
        scores = scores.squeeze(-1)
    else:  # large and finite, because -inf would make the gradient of an absent class NaN instead of 0
        scores = scores.masked_fill(~present, torch.finfo(scores.dtype).min / 2).logsumexp(-1)
    scores = scores.masked_fill(~present.any(-1), -math.inf)
    return scores.squeeze(1) if scores.shape[1] == 1 else scores.log_softmax(-1).mean(1)


# Below the log-sum of the present scores by this much, an absent choice has a probability of 2e-9: nothing in fp32.
ABSENT_DISTANCE = 20.0


def finite_scores(logits: torch.Tensor) -> torch.Tensor:
    """
    Give absent choices a finite score, for losses that add up the scores of all choices, such as label smoothing.

    The score keeps a distance from the log-sum of the present ones. So the probabilities of the present choices stay the
    same, and an absent choice adds a constant to such a loss and nothing to its gradient.

    Args:
        logits: (batch, C) scores of the classes, -inf for absent ones.
    """
    return torch.where(logits == -math.inf, logits.logsumexp(-1, keepdim=True) - ABSENT_DISTANCE, logits)


def choice_loss(
    logits: torch.Tensor, log_probabilities: torch.Tensor, labels: torch.Tensor, config: GLMConfig
) -> torch.Tensor:
    """
    Compute the mean loss over the examples that have a label.

    The config chooses cross entropy over the classes, or the hinge loss with margin 1 summed over the wrong classes. It
    adds `choice_fill_weight` times the loss of filling the blank with the right words.

    Args:
        logits: (batch, C) scores of the classes, -inf for absent ones.
        log_probabilities: (batch, C), the same without length penalty.
        labels: (batch,) int64, the right classes, -100 for none.
        config: Gives `choice_loss` and `choice_fill_weight`.
    """
    labelled = labels != -100
    right = labels.clamp(min=0).view(-1, 1)

    def mean(losses: torch.Tensor) -> torch.Tensor:
        # `where` and not a product, because a row without a label may hold an infinite loss.
        return torch.where(labelled, losses, 0.0).sum() / labelled.sum()

    if config.choice_loss == "hinge":
        # With logits [-1 -1.5 -4] and right class 0 the margins are [1 0.5 0], of which the first does not count.
        margins = (1 + logits - logits.gather(1, right)).clamp(min=0)
        loss = mean(margins.scatter(1, right, 0.0).sum(-1))
    else:
        loss = F.cross_entropy(logits, labels)
    if config.choice_fill_weight:
        loss = loss - config.choice_fill_weight * mean(log_probabilities.gather(1, right).squeeze(1))
    return loss

"""
From the scores of choices to classes and a loss (cloze classification, paper section 2.3).

Shapes: P patterns of one question, C classes (labels, or choices of the example), W words for each of them.
"""

import math

import torch
from torch.nn import functional as F

from .configuration_glm import GLMConfig


def flatten_choices(
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor | None,
    position_ids: torch.Tensor | None,
    choice_ids: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None, torch.Tensor, tuple[int, int, int, int]]:
    """
    Brings all forms of the input of `GLMForMultipleChoice` to one: every pattern is a row, every word a choice.

    Returns:
        `input_ids` and `attention_mask` (batch * P, seq), `position_ids` (batch * P, 2, seq), `choice_ids`
        (batch * P, C * W, length), and (batch, P, C, W).

    Raises:
        ValueError: for shapes that do not fit together.
    """
    batch_dimensions = input_ids.shape[:-1]
    if (
        choice_ids is None
        or input_ids.ndim not in (2, 3)
        or choice_ids.ndim - input_ids.ndim not in (1, 2)
        or choice_ids.shape[: len(batch_dimensions)] != batch_dimensions
    ):
        shape = None if choice_ids is None else tuple(choice_ids.shape)
        leading = "batch, patterns" if input_ids.ndim == 3 else "batch"
        raise ValueError(
            f"choice_ids has shape {shape}, input_ids {tuple(input_ids.shape)}: expected ({leading}, choices, length) or "
            f"({leading}, labels, words, length) with ({leading}) = {tuple(batch_dimensions)}, -100 behind the end of a "
            "choice; or give input_ids of shape (batch, choices, seq) alone."
        )
    batch_size = input_ids.shape[0]
    patterns = input_ids.shape[1] if input_ids.ndim == 3 else 1
    if choice_ids.ndim - input_ids.ndim == 1:
        choice_ids = choice_ids.unsqueeze(-2)
    classes, words, length = choice_ids.shape[-3:]
    if attention_mask is not None and attention_mask.shape != input_ids.shape:
        raise ValueError(
            f"attention_mask has shape {tuple(attention_mask.shape)}: expected that of input_ids, "
            f"{tuple(input_ids.shape)}."
        )
    return (
        input_ids.reshape(batch_size * patterns, -1),
        None if attention_mask is None else attention_mask.reshape(batch_size * patterns, -1),
        None if position_ids is None else position_ids.reshape(batch_size * patterns, *position_ids.shape[-2:]),
        choice_ids.reshape(batch_size * patterns, classes * words, length),
        (batch_size, patterns, classes, words),
    )


def class_scores(token_counts: torch.Tensor, scores: torch.Tensor, length_penalty: float) -> torch.Tensor:
    """
    Scores of classes out of log-probabilities of words: a class is as likely as its words together, and the
    log-probabilities of several patterns are averaged (as PET does: Schick and Schütze 2021, section 3.2).

    Args:
        token_counts: (batch, P, C, W) tokens of every word, 0 for an absent one.
        scores: (batch, P, C, W) log-probability of every word, 0 for an absent one.
        length_penalty: The power of its length that a word's score is divided by.

    Returns:
        (batch, C), -inf for an absent class.
    """
    present = token_counts > 0
    if length_penalty != 0.0:
        scores = scores / token_counts.clamp(min=1).to(scores.dtype) ** length_penalty
    if scores.shape[-1] == 1:
        scores = scores.squeeze(-1)
    else:  # large and finite, so that the gradient of an absent class is 0 and not NaN
        scores = scores.masked_fill(~present, torch.finfo(scores.dtype).min / 2).logsumexp(-1)
    scores = scores.masked_fill(~present.any(-1), -math.inf)
    return scores.squeeze(1) if scores.shape[1] == 1 else scores.log_softmax(-1).mean(1)


def choice_loss(
    logits: torch.Tensor, log_probabilities: torch.Tensor, labels: torch.Tensor, config: GLMConfig
) -> torch.Tensor:
    """
    Mean loss over the examples, as the config chooses: cross entropy over the classes, or the hinge loss with margin 1
    summed over the wrong ones; and `choice_fill_weight` times the loss of filling the blank with the right words.

    Args:
        logits: (batch, C) scores of the classes, -inf for absent ones.
        log_probabilities: (batch, C), the same without length penalty.
        labels: (batch,) right classes.
    """
    right = labels.view(-1, 1)
    if config.choice_loss == "hinge":
        margins = (1 + logits - logits.gather(1, right)).clamp(min=0)
        loss = margins.scatter(1, right, 0.0).sum(-1).mean()
    else:
        loss = F.cross_entropy(logits, right.squeeze(1))
    if config.choice_fill_weight:
        loss = loss - config.choice_fill_weight * log_probabilities.gather(1, right).mean()
    return loss

"""Scoring choices for a blank: together, one forward pass for each, and as the originals pack them."""

from collections.abc import Sequence

import torch
from torch.nn import functional as F

from modeling_glm import GLMForMultipleChoice

from .measuring import Line, compare, take_turns
from .naive_glm import NaiveGLM
from .settings import Settings
from .shapes import BASE, TINY, Shape, build_glm, draw_ids, make_contexts

LENGTH = 4  # tokens of a choice


def pack_choices(
    contexts: torch.Tensor, choices: torch.Tensor, blank: int, sop_token_id: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """
    As the originals lay choices out: behind each context all choices, each with its own start of piece.

    Args:
        contexts: (batch, seq) with the blank in column `blank`.
        choices: (batch, choices, length).

    Returns:
        Ids (batch, all), positions (batch, 2, all), float mask (batch, 1, all, all), and the columns (choices, length)
        that predict the tokens of the choices.
    """
    batch, number, length = choices.shape
    context = contexts.shape[1]
    starts = torch.full((batch, number, 1), sop_token_id)
    behind = torch.cat((starts, choices[..., :-1]), dim=-1)
    ids = torch.cat((contexts, behind.flatten(1)), dim=1)
    rows = torch.zeros(2, ids.shape[1], dtype=torch.long)
    rows[0, :context], rows[0, context:] = torch.arange(context), blank
    rows[1, context:] = torch.arange(1, length + 1).repeat(number)
    mask = torch.zeros(ids.shape[1], ids.shape[1])
    mask[:, :context] = 1.0
    for choice in range(number):
        start = context + choice * length
        mask[start : start + length, start : start + length] = torch.ones(length, length).tril()
    columns = context + torch.arange(number * length).view(number, length)
    return ids, rows.expand(batch, -1, -1), mask.expand(batch, 1, -1, -1), columns


@torch.inference_mode()
def score_packed(
    model: NaiveGLM, layout: tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], choices: torch.Tensor
) -> torch.Tensor:
    """(batch, choices) sums of log-probabilities, from the logits of all positions."""
    ids, positions, mask, columns = layout
    logits, _ = model(ids, positions, mask)
    log_probs = F.log_softmax(logits.float(), dim=-1)[:, columns]
    return log_probs.gather(-1, choices[..., None])[..., 0].sum(-1)


def run(settings: Settings) -> list[Line]:
    shape = TINY if settings.quick else BASE.with_vocabulary(50304)
    if settings.quick:
        return _compare_counts(settings, shape, 2, 128, (2, 8))
    lines = _compare_counts(settings, shape, 1, 128, (2, 8, 64))
    lines += _compare_counts(settings, shape, 4, 128, (8,))
    return lines + _compare_counts(settings, BASE, 1, 128, (2, 8, 64))


def _compare_counts(settings: Settings, shape: Shape, rows: int, length: int, counts: Sequence[int]) -> list[Line]:
    model = build_glm(shape, GLMForMultipleChoice).to(settings.device)
    naive = NaiveGLM(model).eval()
    contexts = make_contexts(model.config, shape, rows, length)
    blank = int((contexts[0] == model.config.mask_token_id).nonzero()[0])
    lines = []
    for number in counts:
        choices = draw_ids(shape, rows, number, LENGTH, seed=2)
        layout = pack_choices(contexts, choices, blank, model.config.sop_token_id)
        moved = [part.to(settings.device) for part in (contexts, choices, *layout)]
        ours = _together(model, *moved[:2])
        one_by_one = _one_by_one(model, *moved[:2])
        packed = score_packed(naive, tuple(moved[2:]), moved[1])
        torch.testing.assert_close(ours, one_by_one, atol=1e-3, rtol=1e-4)
        torch.testing.assert_close(ours, packed, atol=1e-3, rtol=1e-4)
        runs = {
            "ours": lambda a=moved[0], b=moved[1]: _together(model, a, b),
            "one forward pass for each": lambda a=moved[0], b=moved[1]: _one_by_one(model, a, b),
            "naive packed GLM": lambda m=tuple(moved[2:]), b=moved[1]: score_packed(naive, m, b),
        }
        seconds = take_turns(runs, settings.rounds, settings.device)
        work = f"{shape.name}, vocabulary {shape.vocabulary}, {number} choices of {LENGTH} tokens, context {rows} x {length}"
        at_50304 = shape.vocabulary == 50304
        goals = {"one forward pass for each": 3.0, "naive packed GLM": 1.4 if at_50304 else None}
        lines += [
            Line(
                suite="scoring",
                work=work,
                peer=peer,
                goal=goals[peer] if number == 8 else None,
                **compare(seconds, "ours", peer),
            )
            for peer in list(runs)[1:]
        ]
    return lines


@torch.inference_mode()
def _together(model: GLMForMultipleChoice, contexts: torch.Tensor, choices: torch.Tensor) -> torch.Tensor:
    return model(contexts, choice_ids=choices).logits


@torch.inference_mode()
def _one_by_one(model: GLMForMultipleChoice, contexts: torch.Tensor, choices: torch.Tensor) -> torch.Tensor:
    return torch.cat(
        [model(contexts, choice_ids=choices[:, i : i + 1]).logits for i in range(choices.shape[1])], dim=1
    )

"""Time the scoring of choices for a blank against one forward pass per choice, and against the original code's way."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from modeling_glm import GLMForMultipleChoice

from ..harness.measuring import take_turns
from ..harness.naive_glm import NaiveGLM
from ..harness.results import Result, Speed
from ..harness.settings import RunSettings
from ..harness.shapes import BASE, TINY, Shape, build_glm, draw_ids, find_blank, make_contexts

LENGTH = 4  # tokens of a choice


@dataclass(frozen=True)
class PackedChoices:
    """
    Contexts with all their choices behind them, as the original code lays them out.

    Attributes:
        input_ids: (batch, seq).
        position_ids: (batch, 2, seq).
        mask: (batch, 1, seq, seq) floats.
        columns: (choices, length): which columns predict the tokens of the choices.
        choices: (batch, choices, length) ids of the choices.
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    mask: torch.Tensor
    columns: torch.Tensor
    choices: torch.Tensor


def pack_choices(contexts: torch.Tensor, choices: torch.Tensor, blank: int, sop_token_id: int) -> PackedChoices:
    """
    Lay choices out behind their contexts, each with its own start of piece.

    Args:
        contexts: (batch, seq) with the blank in column `blank`.
        choices: (batch, choices, length).
    """
    device = contexts.device
    batch, number, length = choices.shape
    context = contexts.shape[1]
    starts = choices.new_full((batch, number, 1), sop_token_id)
    pieces = torch.cat((starts, choices[..., :-1]), dim=-1)
    ids = torch.cat((contexts, pieces.flatten(1)), dim=1)
    # 3 tokens with the blank in column 1, 2 choices of 2 tokens: row 0 [0 1 2 1 1 1 1], row 1 [0 0 0 1 2 1 2]
    rows = torch.zeros(2, ids.shape[1], dtype=torch.long, device=device)
    rows[0, :context], rows[0, context:] = torch.arange(context), blank
    rows[1, context:] = torch.arange(1, length + 1).repeat(number)
    mask = torch.zeros(ids.shape[1], ids.shape[1], device=device)
    mask[:, :context] = 1.0
    for start in range(context, ids.shape[1], length):
        mask[start : start + length, start : start + length] = torch.ones(length, length).tril()
    columns = context + torch.arange(number * length, device=device).view(number, length)
    return PackedChoices(ids, rows.expand(batch, -1, -1), mask.expand(batch, 1, -1, -1), columns, choices)


@torch.inference_mode()
def score_packed(model: NaiveGLM, packed: PackedChoices) -> torch.Tensor:
    """Return the (batch, choices) summed log-probabilities, from the logits of all positions."""
    logits, _ = model(packed.input_ids, packed.position_ids, packed.mask)
    log_probs = F.log_softmax(logits.float(), dim=-1)[:, packed.columns]
    return log_probs.gather(-1, packed.choices[..., None])[..., 0].sum(-1)


@torch.inference_mode()
def score_together(model: GLMForMultipleChoice, contexts: torch.Tensor, choices: torch.Tensor) -> torch.Tensor:
    """Return the (batch, choices) summed log-probabilities, all from one forward pass."""
    return model(contexts, choice_ids=choices).logits


@torch.inference_mode()
def score_one_by_one(model: GLMForMultipleChoice, contexts: torch.Tensor, choices: torch.Tensor) -> torch.Tensor:
    """Return the (batch, choices) summed log-probabilities, with one forward pass per choice."""
    scores = [model(contexts, choice_ids=choices[:, i : i + 1]).logits for i in range(choices.shape[1])]
    return torch.cat(scores, dim=1)


def run(settings: RunSettings) -> list[Result]:
    if settings.quick:
        return compare_scoring(settings, TINY, 2, 128, (2, 8))
    wide = BASE.with_vocabulary(50304)
    return [
        *compare_scoring(settings, wide, 1, 128, (2, 8, 64)),
        *compare_scoring(settings, wide, 4, 128, (8,)),
        *compare_scoring(settings, BASE, 1, 128, (2, 8, 64)),
    ]


def compare_scoring(
    settings: RunSettings, shape: Shape, rows: int, length: int, counts: Sequence[int]
) -> list[Result]:
    """Compare the three ways for several numbers of choices; they must give the same scores."""
    model = build_glm(GLMForMultipleChoice, shape).to(settings.device)
    naive = NaiveGLM(model).eval()
    contexts = make_contexts(model.config, rows, length).to(settings.device)
    blank = find_blank(model.config, contexts)
    results: list[Result] = []
    for number in counts:
        choices = draw_ids(shape.vocabulary, rows, number, LENGTH, seed=2).to(settings.device)
        packed = pack_choices(contexts, choices, blank, model.config.sop_token_id)
        runs = {
            "together": lambda c=choices: score_together(model, contexts, c),
            "one by one": lambda c=choices: score_one_by_one(model, contexts, c),
            "packed": lambda p=packed: score_packed(naive, p),
        }
        for other in ("one by one", "packed"):
            torch.testing.assert_close(runs["together"](), runs[other](), atol=1e-3, rtol=1e-4)
        seconds = take_turns(runs, settings.rounds, settings.device)
        work = f"{shape.name}, vocabulary {shape.vocabulary}, context {rows} x {length}, {number} choices of {LENGTH} tokens"
        results += [
            Speed.from_seconds(work, "one forward pass per choice", seconds["together"], seconds["one by one"]),
            Speed.from_seconds(work, "naive GLM, choices packed", seconds["together"], seconds["packed"]),
        ]
    return results

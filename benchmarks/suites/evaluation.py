"""Time perplexity with a stride against a loop that reads one window at a time."""

import random
from collections.abc import Sequence

import torch

from modeling_glm import GLMForConditionalGeneration
from modeling_glm.evaluation.continuations import ContinuationRow, score_continuations
from modeling_glm.evaluation.windows import lay_out_window, plan_windows

from ..harness.measuring import take_turns
from ..harness.naive_glm import NaiveGLM
from ..harness.results import Result, Speed
from ..harness.settings import RunSettings
from ..harness.shapes import BASE, TINY, Shape, build_glm, draw_ids

WINDOW, STRIDE = 1023, 256  # of the paper
BATCH = 32
# The shape of the embedded checkpoint.
EMBEDDED = Shape("Embedded", 192, 5, 4096)


@torch.inference_mode()
def score_one_by_one(model: GLMForConditionalGeneration, rows: Sequence[ContinuationRow]) -> float:
    """Return the summed log-probability, one forward pass per window, from the logits of all positions."""
    return sum(_score(model, row) for row in rows)


def _score(model: GLMForConditionalGeneration, row: ContinuationRow) -> float:
    tokens = torch.tensor(row.continuations[0])
    ids = torch.tensor([[*row.context, model.config.sop_token_id, *tokens[:-1]]])
    return _sum_up(model(ids).logits, tokens, row)


@torch.inference_mode()
def score_naively(model: NaiveGLM, rows: Sequence[ContinuationRow]) -> float:
    """Return the same, computed as the authors' code does."""
    return sum(_score_naively(model, row) for row in rows)


def _score_naively(model: NaiveGLM, row: ContinuationRow) -> float:
    tokens, start = torch.tensor(row.continuations[0]), len(row.context)
    ids = torch.tensor([[*row.context, model.config.sop_token_id, *tokens[:-1]]])
    # The blank is the last token of the context: 3 tokens, then 2: row 0 [0 1 2 2 2], row 1 [0 0 0 1 2]
    places = torch.arange(ids.shape[1])
    position_ids = torch.stack((places.clamp(max=start - 1), (places - start + 1).clamp(min=0)))[None]
    mask = torch.ones(ids.shape[1], ids.shape[1]).tril()
    mask[:, :start] = 1.0
    logits, _ = model(ids, position_ids, mask[None, None])
    return _sum_up(logits, tokens, row)


def _sum_up(logits: torch.Tensor, tokens: torch.Tensor, row: ContinuationRow) -> float:
    log_probs = logits[0].float().log_softmax(-1)[len(row.context) :]
    return log_probs.gather(-1, tokens[:, None])[row.skip :].sum().item()


def score_together(model: GLMForConditionalGeneration, rows: Sequence[ContinuationRow]) -> float:
    """Return the same, as `compute_perplexity` computes it."""
    return sum(scored.log_prob for (scored,) in score_continuations(model, rows, batch_size=BATCH))


def lay_out(model: GLMForConditionalGeneration, lengths: Sequence[int]) -> list[ContinuationRow]:
    """Lay out the windows of random documents."""
    config, rows = model.config, []
    for number, length in enumerate(lengths):
        ids = draw_ids(config.vocab_size, length, seed=number).tolist()
        rows += [
            lay_out_window(ids, window, config.cls_token_id, config.mask_token_id)
            for window in plan_windows(length, WINDOW, STRIDE)
        ]
    return rows


def run(settings: RunSettings) -> list[Result]:
    if settings.quick:
        return compare(settings, TINY, "4 lines of 5 to 20 tokens", draw_lengths(4))
    return [
        *compare(settings, EMBEDDED, "256 lines of 5 to 20 tokens", draw_lengths(256)),
        *compare(settings, BASE, "64 lines of 5 to 20 tokens", draw_lengths(64)),
        *compare(settings, TINY.with_vocabulary(50304), "1 document of 8 windows", [WINDOW + 7 * STRIDE]),
        *compare(settings, BASE, "1 document of 4 windows", [WINDOW + 3 * STRIDE]),
    ]


def draw_lengths(count: int) -> list[int]:
    """Draw the lengths of lines."""
    return random.Random(0).choices(range(5, 21), k=count)


def compare(settings: RunSettings, shape: Shape, title: str, lengths: Sequence[int]) -> list[Result]:
    """Compare the three ways; they must give the same number."""
    model = build_glm(GLMForConditionalGeneration, shape)
    naive, rows = NaiveGLM(model).eval(), lay_out(model, lengths)
    runs = {
        "together": lambda: score_together(model, rows),
        "one by one": lambda: score_one_by_one(model, rows),
        "naive": lambda: score_naively(naive, rows),
    }
    expected = runs["together"]()
    for other in ("one by one", "naive"):
        torch.testing.assert_close(runs[other](), expected, rtol=1e-5, atol=1e-2)
    seconds = take_turns(runs, settings.rounds, settings.device, warm_up=False)
    work = f"{shape.name}, vocabulary {shape.vocabulary}, windows of {WINDOW}, stride {STRIDE}, {title}"
    return [
        Speed.from_seconds(work, "one window at a time", seconds["together"], seconds["one by one"]),
        Speed.from_seconds(work, "naive GLM, one window at a time", seconds["together"], seconds["naive"]),
    ]

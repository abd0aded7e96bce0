"""How time and memory grow with what is asked: exponents fitted over doublings, beside those of the arithmetic."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from modeling_glm import GLMForMultipleChoice

from .measuring import Line, PeakMemory, run_alone
from .settings import Settings
from .shapes import BASE, SHAPES, TINY, Shape, build_glm, draw_ids, make_contexts
from .training import make_step

# A fitted exponent may exceed that of the arithmetic by so much: noise of the machine.
TOLERANCE = 0.1


def fit_exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """The power of the size by which the cost grows: the slope in a plot with logarithms on both axes."""
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def step_memory(shape: str, rows: int, length: int) -> dict[str, float]:
    """Bytes by which a process grows in its first step, beyond the model; called in a process of its own."""
    make_step("GLM", TINY, 1, 32)[0]()  # what libraries load at first use
    step, _ = make_step("GLM", SHAPES[shape], rows, length)
    with PeakMemory() as memory:
        step()
    return {"bytes": memory.grown}


def run(settings: Settings) -> list[Line]:
    base = TINY if settings.quick else BASE
    lines = []
    for work, sizes, make, arithmetic in _cases(settings, base):
        runs = {size: make(size) for size in sizes}
        costs = _best_times(runs, settings.rounds)
        fitted = fit_exponent(sizes, [costs[size] for size in sizes])
        expected = fit_exponent(sizes, [arithmetic(size) for size in sizes])
        lines.append(_line(f"{base.name}, {work}", sizes, fitted, expected))
    return lines + memory_lines(settings)


def _line(work: str, sizes: Sequence[int], fitted: float, expected: float) -> Line:
    return Line(
        suite="growth",
        work=f"{work}: {', '.join(map(str, sizes))}",
        peer="the arithmetic",
        # Above 1 where it grows no faster than the arithmetic, tolerance included. What is too small to be measured
        # may seem to shrink.
        ratio=(expected + TOLERANCE) / max(fitted, 1e-3),
        goal=1.0,
        ours=fitted,
        theirs=expected,
        unit="exponent",
    )


def _best_times(runs: dict[Any, Callable[[], object]], rounds: int) -> dict[Any, float]:
    best = dict.fromkeys(runs, float("inf"))
    for run in runs.values():
        run()
    for _ in range(rounds):
        for size, run in runs.items():
            start = time.perf_counter()
            run()
            best[size] = min(best[size], time.perf_counter() - start)
    return best


def _cases(settings: Settings, base: Shape) -> list[tuple[str, list[int], Callable, Callable[[int], float]]]:
    model = build_glm(base)
    chooser = build_glm(base, GLMForMultipleChoice)
    small = settings.quick
    lengths = [64, 128, 256] if small else [128, 256, 512, 1024]
    rows = [1, 2, 4] if small else [2, 4, 8, 16]
    choices = [4, 8, 16] if small else [4, 8, 16, 32, 64]
    blanks = [1, 2] if small else [1, 2, 4, 8]
    layers = [1, 2] if small else [3, 6, 12, 24]

    def read(count: int, length: int) -> Callable[[], object]:
        contexts = make_contexts(model.config, base, count, length)
        return _inference(lambda: model(contexts, logits_to_keep=1))

    def choose(number: int) -> Callable[[], object]:
        contexts = make_contexts(chooser.config, base, 1, 128)
        ids = draw_ids(base, 1, number, 4, seed=2)
        return _inference(lambda: chooser(contexts, choice_ids=ids))

    def fill(number: int) -> Callable[[], object]:
        contexts = make_contexts(model.config, base, 1, 64, number)
        ends = {"eos_token_id": model.config.eop_token_id, "max_new_tokens_per_blank": 4}
        return lambda: model.generate(contexts, attention_mask=torch.ones_like(contexts), **ends)

    def train(count: int) -> Callable[[], object]:
        return make_step("GLM", replace(base, layers=count), 1, 128)[0]

    step_flops = 3.0
    return [
        ("forward pass, by tokens of a text", lengths, lambda n: read(1, n), lambda n: base.forward_flops(1, n, 1)),
        ("forward pass, by texts of 128 tokens", rows, lambda n: read(n, 128), lambda n: float(n)),
        (
            "choices of 4 tokens behind 128",
            choices,
            choose,
            lambda n: base.forward_flops(1, 128 + 4 * n, 4 * n),
        ),
        ("filling, by blanks of 4 tokens", blanks, fill, lambda n: float(n)),
        (
            "training step of 128 tokens, by layers",
            layers,
            train,
            lambda n: step_flops * replace(base, layers=n).forward_flops(1, 128, 24) + 10 * 12 * n * base.hidden**2,
        ),
    ]


def _inference(function: Callable[[], object]) -> Callable[[], object]:
    def call():
        with torch.inference_mode():
            return function()

    return call


def memory_lines(settings: Settings) -> list[Line]:
    """Memory of a training step by the length of its rows."""
    shape = TINY if settings.quick else BASE
    lengths = [256, 512] if settings.quick else [128, 256, 512, 1024]
    sizes = [run_alone("growth", "step_memory", shape.name, 4, length)["bytes"] for length in lengths]
    work = f"{shape.name}, memory of a training step of 4 rows, by tokens of a row"
    return [_line(work, lengths, fit_exponent(lengths, sizes), 1.0)]

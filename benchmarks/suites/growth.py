"""Measure how time and memory grow with the size of the work: exponents fitted over several sizes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from modeling_glm import GLMForConditionalGeneration, GLMForMultipleChoice

from ..harness.measuring import PeakMemory, run_alone, take_turns
from ..harness.results import Growth, Result
from ..harness.settings import RunSettings
from ..harness.shapes import BASE, SHAPES, TINY, Shape, build_glm, draw_ids, make_contexts
from ..harness.steps import GLM, make_step, step_flops


@dataclass(frozen=True, kw_only=True)
class GrowthCase:
    """
    Work of several sizes.

    Attributes:
        work: What is done.
        size: What is varied.
        sizes: Its values.
        make: Makes the work of a size.
        arithmetic: The cost of a size by arithmetic, in any unit.
    """

    work: str
    size: str
    sizes: list[int]
    make: Callable[[int], Callable[[], object]]
    arithmetic: Callable[[int], float]


def fit_exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Fit the power of the size by which the cost grows: the slope with logarithms on both axes."""
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def run(settings: RunSettings) -> list[Result]:
    base = TINY if settings.quick else BASE
    return [
        *(measure_time(settings, case) for case in growth_cases(base, settings.quick)),
        measure_memory(base, [256, 512] if settings.quick else [128, 256, 512, 1024]),
    ]


def measure_time(settings: RunSettings, case: GrowthCase) -> Growth:
    """Time every size, and fit the exponent to the best rounds."""
    seconds = take_turns({str(size): case.make(size) for size in case.sizes}, settings.rounds)
    return Growth(
        work=case.work,
        size=case.size,
        sizes=case.sizes,
        measured=fit_exponent(case.sizes, [min(seconds[str(size)]) for size in case.sizes]),
        expected=fit_exponent(case.sizes, [case.arithmetic(size) for size in case.sizes]),
    )


def growth_cases(base: Shape, quick: bool) -> list[GrowthCase]:
    model, chooser = build_glm(GLMForConditionalGeneration, base), build_glm(GLMForMultipleChoice, base)

    def read(rows: int, length: int) -> Callable[[], object]:
        contexts = make_contexts(model.config, rows, length)
        return torch.inference_mode()(lambda: model(contexts, logits_to_keep=1))

    def choose(number: int) -> Callable[[], object]:
        contexts = make_contexts(chooser.config, 1, 128)
        choice_ids = draw_ids(base.vocabulary, 1, number, 4, seed=2)
        return torch.inference_mode()(lambda: chooser(contexts, choice_ids=choice_ids))

    def fill(number: int) -> Callable[[], object]:
        contexts = make_contexts(model.config, 1, 64, number)
        ends = {"eos_token_id": model.config.eop_token_id, "max_new_tokens_per_blank": 4}
        return lambda: model.generate(contexts, attention_mask=torch.ones_like(contexts), **ends)

    def train(layers: int) -> Callable[[], object]:
        return make_step(GLM, replace(base, layers=layers), 1, 128)

    def train_flops(layers: int) -> float:
        shape = replace(base, layers=layers)
        return step_flops(shape, 1, 128) + 10 * shape.block_weights  # AdamW: 10 operations per weight

    return [
        GrowthCase(
            work=f"{base.name}, forward pass of one text",
            size="tokens",
            sizes=[64, 128, 256] if quick else [128, 256, 512, 1024],
            make=lambda length: read(1, length),
            arithmetic=lambda length: base.forward_flops(1, length, 1),
        ),
        GrowthCase(
            work=f"{base.name}, forward pass of texts of 128 tokens",
            size="texts",
            sizes=[1, 2, 4] if quick else [2, 4, 8, 16],
            make=lambda rows: read(rows, 128),
            arithmetic=float,
        ),
        GrowthCase(
            work=f"{base.name}, score choices of 4 tokens in a context of 128",
            size="choices",
            sizes=[4, 8, 16] if quick else [4, 8, 16, 32, 64],
            make=choose,
            arithmetic=lambda number: base.forward_flops(1, 128 + 4 * number, 4 * number),
        ),
        GrowthCase(
            work=f"{base.name}, fill blanks with 4 tokens each",
            size="blanks",
            sizes=[1, 2] if quick else [1, 2, 4, 8],
            make=fill,
            arithmetic=float,
        ),
        GrowthCase(
            work=f"{base.name}, training step of 128 tokens",
            size="layers",
            sizes=[1, 2] if quick else [3, 6, 12, 24],
            make=train,
            arithmetic=train_flops,
        ),
    ]


def measure_memory(shape: Shape, lengths: list[int]) -> Growth:
    """Measure the memory of a training step of 4 rows by their length, each in a separate process."""
    sizes = [run_alone(step_memory, shape.name, 4, length)["bytes"] for length in lengths]
    return Growth(
        work=f"{shape.name}, memory of a training step of 4 rows",
        size="tokens of a row",
        sizes=lengths,
        measured=fit_exponent(lengths, sizes),
        expected=1.0,
    )


def step_memory(shape: str, rows: int, length: int) -> dict[str, float]:
    """Measure by how many bytes the first step grows the process, beyond the model. Call it in a separate process."""
    make_step(GLM, TINY, 1, 32)()  # loads what the libraries load on first use
    step = make_step(GLM, SHAPES[shape], rows, length)
    with PeakMemory() as memory:
        step()
    return {"bytes": memory.grown}

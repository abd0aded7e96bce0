"""
Predict what pretraining takes for every published size, and check the prediction at one point.

    python -m benchmarks.studies.sizing
    python -m benchmarks.studies.sizing --no-check --rows 8 --devices 16

The table is the one of the pretraining guide. It is computed by the formulas of modeling_glm/inspection/sizing.py. Objectives
and lengths are those of examples/recipes, and of their first phase where there are two. A row holds as many tokens of the
corpus as a text of the recipe has at most; a billion tokens are tokens of the corpus.

The check trains GLM-Base on the CPU for a few steps in a separate process, in fp32 with eager attention, and compares predicted
with measured memory and time. A step has two batches, so that gradients stand beside activations, as in the prediction.
The time is predicted from the share of the matmul peak that a model of half the depth reaches. Each time is the best of
several, because other work on the machine only adds to it.
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import yaml

from modeling_glm import GLMConfig, GLMForConditionalGeneration
from modeling_glm.configuration_glm import PRESETS
from modeling_glm.hub.card import count_parameters
from modeling_glm.inspection.sizing import measure_matmul_peak, training_flops, training_memory

from ..harness.machine import describe_this_machine
from ..harness.measuring import ROOT, PeakMemory, run_alone, take_turns
from ..harness.report import make_table
from ..harness.steps import make_batch, split_row

RECIPES = ROOT / "examples" / "recipes"
UNPUBLISHED = {"glm-doc": "glm-410m"}  # trained with the same two objectives
SENTENCE = 20  # tokens of a sentence, which says how many blanks the sentence objective makes
# By default glibc keeps freed memory, and the more of it the larger it is.
RETURN_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}


@dataclass(frozen=True)
class RowSize:
    """The average row of a recipe: tokens of the text, positions, positions with a label."""

    text: int
    row: int
    labelled: int


def mean_span(poisson_mean: float) -> float:
    """Return the mean length of the spans of the token objective: of a Poisson distribution without its zero."""
    return poisson_mean / (1 - math.exp(-poisson_mean))


def row_size(recipe: dict[str, Any]) -> RowSize:
    """Compute the average row of a recipe."""
    text = recipe["max_length"]
    row = labelled = 0.0
    for objective, probability in recipe["objectives"].items():
        if objective == "document":
            masked, pieces = (recipe["min_document_ratio"] + 1) / 2 * text, 1.0
        elif objective == "sentence":
            masked = recipe["sentence_ratio"] * text
            pieces = masked / SENTENCE
        else:
            masked = recipe["mask_ratio"] * text
            pieces = masked / mean_span(recipe["mean_span_length"])
        row += probability * (text + 2 * pieces)  # each piece adds a mask in Part A and a start of piece
        labelled += probability * (masked + pieces)
    return RowSize(text, round(row), round(labelled))


def read_recipe(preset: str) -> dict[str, Any]:
    name = UNPUBLISHED.get(preset, preset)
    return yaml.safe_load((RECIPES / f"{name}.yaml").read_text(encoding="utf-8"))


def gib(size: float) -> str:
    return f"{size / 2**30:,.1f}"


def predict_table(rows: int, devices: int, flops_per_second: float) -> str:
    """
    Predict memory and time for every preset.

    Args:
        rows: Rows of a batch on each GPU.
        devices: Number of GPUs.
        flops_per_second: What all GPUs together sustain.
    """
    columns = (
        "preset",
        "parameters",
        "text, row",
        "weights, gradients, AdamW",
        "activations",
        "with checkpointing",
        "one GPU",
        f"FSDP over {devices}",
        "EFLOP per billion tokens",
        "hours per billion tokens",
    )
    return make_table(columns, [predict_row(preset, rows, devices, flops_per_second) for preset in PRESETS])


def predict_row(preset: str, rows: int, devices: int, flops_per_second: float) -> tuple[str, ...]:
    config = GLMConfig.from_preset(preset)
    size = row_size(read_recipe(preset))
    sizes = {"row_length": size.row, "batch_tokens": rows * size.row, "labelled_tokens": rows * size.labelled}
    plain = training_memory(config, **sizes)
    checkpointed = training_memory(config, gradient_checkpointing=True, **sizes)
    sharded = training_memory(config, gradient_checkpointing=True, shards=devices, **sizes)
    flops = training_flops(config, tokens=size.row, labelled_tokens=size.labelled, row_length=size.row)
    per_billion = flops * 1e9 / size.text
    return (
        preset,
        f"{count_parameters(config) / 1e6:,.0f}M",
        f"{size.text}, {size.row}",
        gib(plain.weights + plain.gradients + plain.optimizer),
        gib(plain.activations),
        gib(checkpointed.activations),
        gib(checkpointed.total),
        gib(sharded.total),
        f"{per_billion / 1e18:,.2f}",
        f"{per_billion / flops_per_second / 3600:,.2f}",
    )


def measure_steps(layers: int, rows: int, length: int, rounds: int) -> dict[str, float]:
    """
    Measure memory and best time per batch of GLM-Base in steps of two batches. Call it in a separate process.

    Args:
        layers: Depth of the model.
        rows, length: Size of a batch.
        rounds: Number of steps that are timed, after a first one.
    """
    torch.ones(1000).sum().item()  # loads what torch loads on first use
    config = GLMConfig.from_preset("glm-base", num_hidden_layers=layers, attn_implementation="eager")
    batch = make_batch(config, rows, length)
    with PeakMemory() as memory:
        torch.manual_seed(0)
        model = GLMForConditionalGeneration(config).train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

        def step():
            for _ in range(2):
                model(**batch).loss.backward()
            optimizer.step()
            optimizer.zero_grad()

        seconds = take_turns({"step": step}, rounds)["step"]
    return {"bytes": memory.grown, "seconds": min(seconds) / 2}


def check_table(rows: int, length: int, rounds: int) -> str:
    """Compare predicted with measured memory and time of GLM-Base."""
    config = GLMConfig.from_preset("glm-base")
    depth = config.num_hidden_layers
    half = GLMConfig.from_preset("glm-base", num_hidden_layers=depth // 2)
    tokens, labelled = rows * length, rows * (length - split_row(length).part_a)
    memory = training_memory(
        config, batch_tokens=tokens, row_length=length, labelled_tokens=labelled, precision="fp32", attention="eager"
    )
    peak = measure_matmul_peak("cpu")
    # The half before and after the whole, so that a machine that slows down does so for both.
    before, measured, after = (
        run_alone(measure_steps, layers, rows, length, rounds, environment=RETURN_MEMORY)
        for layers in (depth // 2, depth, depth // 2)
    )
    flops, half_flops = (
        training_flops(one, tokens=tokens, labelled_tokens=labelled, row_length=length) for one in (config, half)
    )
    share = half_flops / ((before["seconds"] + after["seconds"]) / 2) / peak
    seconds = flops / (share * peak)
    table = make_table(
        ("", "predicted", "measured", "measured / predicted"),
        [
            ("memory, GiB", *compare_numbers(memory.total / 2**30, measured["bytes"] / 2**30)),
            ("seconds per batch", *compare_numbers(seconds, measured["seconds"])),
        ],
    )
    return (
        f"Checked: glm-base, {rows} rows of {length} tokens, fp32, {torch.get_num_threads()} threads, peak "
        f"{peak / 1e9:,.0f} GFLOP/s, of which half the depth reached {share:.0%}. {describe_this_machine()}\n\n{table}"
    )


def compare_numbers(predicted: float, measured: float) -> tuple[str, str, str]:
    return f"{predicted:.2f}", f"{measured:.2f}", f"{measured / predicted:.2f}"


def main(arguments: Sequence[str] | None = None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=16, help="rows of a batch on each GPU")
    parser.add_argument("--devices", type=int, default=8, help="number of GPUs, for the hours and for FSDP")
    parser.add_argument(
        "--peak", type=float, default=989, help="TFLOP/s of a GPU; the default is an H100 in dense bf16"
    )
    parser.add_argument("--share", type=float, default=0.4, help="share of the peak that training sustains")
    parser.add_argument("--no-check", action="store_true", help="print only the table")
    parser.add_argument("--check-rows", type=int, default=2, help="rows of a batch of the check")
    parser.add_argument("--check-length", type=int, default=282, help="positions of a row of the check")
    parser.add_argument("--steps", type=int, default=2, help="steps of the check that are timed")
    args = parser.parse_args(arguments)
    print(
        f"Memory in GiB of one GPU with {args.rows} rows at a time, bf16 autocast over fp32 weights, AdamW, SDPA. Hours "
        f"per billion tokens of text on {args.devices} GPUs at {args.share:.0%} of {args.peak:g} TFLOP/s each; "
        "checkpointing repeats the forward pass and takes a third more.\n"
    )
    print(predict_table(args.rows, args.devices, args.devices * args.share * args.peak * 1e12))
    if not args.no_check:
        print(f"\n{check_table(args.check_rows, args.check_length, args.steps)}")


if __name__ == "__main__":
    main()

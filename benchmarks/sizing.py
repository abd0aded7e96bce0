#!/usr/bin/env python
"""
What pretraining takes: the table of docs/guides/pretrain.md, for every published size, and one point that is checked here.

    python benchmarks/sizing.py
    python benchmarks/sizing.py --no-check --rows 8 --devices 16

The table is predicted (modeling_glm/inspection/sizing.py says how). Objectives and lengths are those of examples/recipes, and of
its first phase where there are two; a billion tokens are tokens of the corpus, of which a row holds as many as a text
of the recipe has at most.

The check trains GLM-Base for a few steps on the CPU in a process of its own, in fp32 with eager attention, and compares
predicted with measured memory, by which the process grew from before the model was made to its peak, and time. A step
has two batches, so that gradients stand beside activations, as the prediction has it. The time is predicted from the
share of the measured matmul peak that the same steps of a model of half the depth reach; each is the best of several, as
other work on the machine only adds to them.
"""

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml

from modeling_glm import GLMConfig, GLMForConditionalGeneration
from modeling_glm.configuration_glm import PRESETS
from modeling_glm.hub.card import count_parameters
from modeling_glm.inspection.sizing import measure_matmul_peak, training_flops, training_memory

RECIPES = Path(__file__).parents[1] / "examples" / "recipes"
UNPUBLISHED = {"glm-doc": "glm-410m"}  # trained with the same two objectives
SENTENCE = 20  # tokens of a sentence, for how many blanks the sentence objective makes


@dataclass(frozen=True)
class Shape:
    """A row as a recipe makes it, on average: tokens of the text, positions, positions with a label."""

    text: int
    row: int
    labelled: int


def mean_span(poisson_mean: float) -> float:
    """Mean length of the spans of the token objective: of a Poisson distribution without its zero."""
    return poisson_mean / (1 - math.exp(-poisson_mean))


def row_shape(recipe: dict) -> Shape:
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
        row += probability * (text + 2 * pieces)  # a blank in Part A and a start of piece in Part B for each
        labelled += probability * (masked + pieces)
    return Shape(text, round(row), round(labelled))


def read_recipe(preset: str) -> dict:
    name = UNPUBLISHED.get(preset, preset)
    return yaml.safe_load((RECIPES / f"{name}.yaml").read_text(encoding="utf-8"))


def gib(size: float) -> str:
    return f"{size / 2**30:,.1f}"


def print_table(args: argparse.Namespace):
    rate = args.devices * args.share * args.peak * 1e12
    print(
        f"Memory in GiB of one GPU with {args.rows} rows at a time, bf16 autocast over fp32 weights, AdamW, SDPA. Hours "
        f"per billion tokens of text on {args.devices} GPUs at {args.share:.0%} of {args.peak:g} TFLOP/s each; "
        "checkpointing repeats the forward pass and takes a third more.\n"
    )
    print(
        "| preset | parameters | text, row | weights, gradients, AdamW | activations | with checkpointing | one GPU | "
        f"FSDP over {args.devices} | EFLOP per billion tokens | hours per billion tokens |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for preset in PRESETS:
        config = GLMConfig.from_preset(preset)
        shape = row_shape(read_recipe(preset))
        plain, checkpointed, sharded = (
            training_memory(
                config,
                batch_tokens=args.rows * shape.row,
                row_length=shape.row,
                labelled_tokens=args.rows * shape.labelled,
                gradient_checkpointing=checkpointing,
                shards=shards,
            )
            for checkpointing, shards in ((False, 1), (True, 1), (True, args.devices))
        )
        flops = training_flops(config, tokens=shape.row, labelled_tokens=shape.labelled, row_length=shape.row)
        per_billion = flops * 1e9 / shape.text
        states = plain.weights + plain.gradients + plain.optimizer
        print(
            f"| {preset} | {count_parameters(config) / 1e6:,.0f}M | {shape.text}, {shape.row} | {gib(states)} | "
            f"{gib(plain.activations)} | {gib(checkpointed.activations)} | {gib(checkpointed.total)} | "
            f"{gib(sharded.total)} | {per_billion / 1e18:,.2f} | {per_billion / rate / 3600:,.2f} |"
        )


def make_batch(config: GLMConfig, rows: int, text: int) -> tuple[dict[str, torch.Tensor], Shape]:
    """Rows with 15% of `text` tokens in spans of three, and the shape of one."""
    pieces = round(0.15 * text / 3)
    part_a, part_b = text - 2 * pieces, 4 * pieces
    input_ids = torch.randint(1000, 30000, (rows, part_a + part_b), generator=torch.Generator().manual_seed(0))
    input_ids[:, torch.linspace(1, part_a - 2, pieces).long()] = config.mask_token_id
    labels = torch.full_like(input_ids, -100)
    labels[:, part_a:] = input_ids[:, part_a:]
    input_ids[:, part_a::4] = config.sop_token_id
    return {"input_ids": input_ids, "labels": labels}, Shape(text, part_a + part_b, part_b)


def peak_memory() -> int:
    """The most that this process has had in memory so far, in bytes."""
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else size * 1024


def time_batches(config: GLMConfig, batch: dict[str, torch.Tensor], steps: int) -> float:
    """Fewest seconds of a batch: a step is two of them, AdamW included; the first step does not count."""
    torch.manual_seed(0)
    model = GLMForConditionalGeneration(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    seconds = []
    for _ in range(steps + 1):
        start = time.perf_counter()
        for _ in range(2):
            model(**batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append((time.perf_counter() - start) / 2)
    return min(seconds[1:])


def measure(args: argparse.Namespace):
    """In a process of its own: what the steps of the checked point take, as JSON."""
    torch.ones(1000).sum().item()  # what torch loads on its first use is not the model's
    config = GLMConfig.from_preset("glm-base", num_hidden_layers=args.layers, attn_implementation="eager")
    batch, _ = make_batch(config, args.check_rows, args.check_text)
    before = peak_memory()
    seconds = time_batches(config, batch, args.steps)
    print(json.dumps({"bytes": peak_memory() - before, "seconds": seconds}))


def run_alone(args: argparse.Namespace, layers: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--layers", str(layers), "--steps", str(args.steps)]
    command += ["--check-rows", str(args.check_rows), "--check-text", str(args.check_text)]
    # By default glibc keeps what is freed, the more so the larger it is.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout)


def check(args: argparse.Namespace):
    config = GLMConfig.from_preset("glm-base")
    half = GLMConfig.from_preset("glm-base", num_hidden_layers=config.num_hidden_layers // 2)
    _, shape = make_batch(config, 1, args.check_text)
    sizes = {"labelled_tokens": args.check_rows * shape.labelled, "row_length": shape.row}
    tokens = args.check_rows * shape.row
    memory = training_memory(config, batch_tokens=tokens, precision="fp32", attention="eager", **sizes)

    peak = measure_matmul_peak("cpu")
    # The half before and after the whole, so that a machine that slows down does so for both.
    layers = (half.num_hidden_layers, config.num_hidden_layers, half.num_hidden_layers)
    before, measured, after = (run_alone(args, number) for number in layers)
    share = training_flops(half, tokens=tokens, **sizes) / ((before["seconds"] + after["seconds"]) / 2) / peak
    seconds = training_flops(config, tokens=tokens, **sizes) / (share * peak)

    threads = torch.get_num_threads()
    print(
        f"\nChecked: glm-base, {args.check_rows} rows of {shape.row} tokens, fp32, {threads} "
        f"thread{'s' * (threads > 1)}, peak {peak / 1e9:,.0f} GFLOP/s, of which half the depth reached {share:.0%}.\n"
    )
    print("| | predicted | measured | measured / predicted |")
    print("|---|---|---|---|")
    ratio = measured["bytes"] / memory.total
    print(f"| memory, GiB | {memory.total / 2**30:.2f} | {measured['bytes'] / 2**30:.2f} | {ratio:.2f} |")
    ratio = measured["seconds"] / seconds
    print(f"| seconds per batch | {seconds:.2f} | {measured['seconds']:.2f} | {ratio:.2f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=16, help="Rows of a batch on each GPU, for the memory.")
    parser.add_argument("--devices", type=int, default=8, help="GPUs, for the hours and for FSDP.")
    parser.add_argument("--peak", type=float, default=989, help="TFLOP/s of one, here of an H100 in dense bf16.")
    parser.add_argument("--share", type=float, default=0.4, help="Share of the peak that training sustains.")
    parser.add_argument("--no-check", action="store_true", help="The table only.")
    parser.add_argument("--check-rows", type=int, default=2, help="Rows of a batch of the check.")
    parser.add_argument("--check-text", type=int, default=256, help="Tokens of a text of the check.")
    parser.add_argument("--steps", type=int, default=2, help="Steps of the check that are timed.")
    parser.add_argument("--layers", type=int, help=argparse.SUPPRESS)  # the process that measures
    args = parser.parse_args()
    if args.layers:
        measure(args)
        return
    print_table(args)
    if not args.no_check:
        check(args)


if __name__ == "__main__":
    main()

#!/usr/bin/env python
"""
Scoring the choices of a cloze question against a forward pass per choice, on random weights of a published size.

    python benchmarks/cloze.py
    python benchmarks/cloze.py --preset glm-large --batch 4

The runs to be compared alternate, and each figure is a ratio of medians within one run of this script.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from modeling_glm import GLMConfig, GLMForConditionalGeneration, GLMForMultipleChoice


def make_inputs(config: GLMConfig, batch: int, context: int, choices: int, length: int) -> dict[str, torch.Tensor]:
    """Random contexts with a blank in their middle, and random choices: `choice_ids` (batch, choices, length)."""
    generator = torch.Generator().manual_seed(0)
    shapes = {"input_ids": (batch, context), "choice_ids": (batch, choices, length)}
    ids = {name: torch.randint(1000, 20000, shape, generator=generator) for name, shape in shapes.items()}
    ids["input_ids"][:, 0] = config.cls_token_id
    ids["input_ids"][:, context // 2] = config.mask_token_id
    ids["input_ids"][:, -1] = config.eos_token_id
    return ids


def compare(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of every run, the runs taking turns."""
    for run in runs.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="glm-base", help="Size of the model.")
    parser.add_argument("--batch", type=int, default=1, help="Questions per batch.")
    parser.add_argument("--context", type=int, default=256, help="Tokens of a context.")
    parser.add_argument("--choices", type=int, default=8)
    parser.add_argument("--length", type=int, default=4, help="Tokens of a choice.")
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()

    config = GLMConfig.from_preset(args.preset)
    torch.manual_seed(0)
    chooser = GLMForMultipleChoice(config).eval()
    filler = GLMForConditionalGeneration(config).eval()
    filler.load_state_dict(chooser.state_dict())
    inputs = make_inputs(config, args.batch, args.context, args.choices, args.length)
    contexts, choices = inputs["input_ids"], inputs["choice_ids"]
    started = torch.cat((contexts, contexts.new_full((args.batch, 1), config.sop_token_id)), dim=1)

    def one_by_one() -> torch.Tensor:
        scores = [chooser(contexts, choice_ids=choices[:, i : i + 1]).logits for i in range(args.choices)]
        return torch.cat(scores, dim=1)

    with torch.inference_mode():
        together = chooser(contexts, choice_ids=choices).logits
        torch.testing.assert_close(together, one_by_one(), atol=1e-3, rtol=1e-4)
        seconds = compare(
            {
                "together": lambda: chooser(contexts, choice_ids=choices),
                "one by one": one_by_one,
                "plain": lambda: filler(started, logits_to_keep=1),
                "single tokens": lambda: chooser(contexts, choice_ids=choices[..., :1]),
            },
            args.rounds,
        )
    print(f"{args.preset}, {torch.get_num_threads()} threads, batch {args.batch}, context of {args.context} tokens")
    for name, value in seconds.items():
        print(f"  {name:14} {value * 1000:9.1f} ms")
    print(
        f"{args.choices} choices of {args.length} tokens: {seconds['one by one'] / seconds['together']:.2f} times as fast as "
        "one forward pass per choice"
    )
    print(
        f"{args.choices} choices of one token: {seconds['single tokens'] / seconds['plain']:.3f} times a plain forward pass"
    )


if __name__ == "__main__":
    main()

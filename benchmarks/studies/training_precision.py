"""
Train the same model in fp32 and in bf16 autocast, side by side: do the losses stay together, and how much faster is a step?

    python -m benchmarks.studies.training_precision --seeds 3
    python -m benchmarks.studies.training_precision --shape Base --steps 100

Both models start with the same weights, read the same batches and draw the same dropout masks. Their steps take turns.
Another seed draws other weights, other spans and other masks, so the table says how far the seeds lie apart. --output is a
JSON file: seeds that it holds are not trained again.
"""

import argparse
import itertools
import json
import random
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from modeling_glm import DataCollatorForBlankInfilling, GLMForConditionalGeneration, GLMTokenizer
from modeling_glm.utils.files import write_whole

from ..harness.embedded import load_tokenizer, training_texts
from ..harness.machine import describe_this_machine
from ..harness.report import make_table
from ..harness.shapes import SHAPES, glm_config
from ..harness.steps import Batch, optimizing

FP32, BF16 = "fp32", "bf16"
WINDOWS = 5  # windows of the curve, each with the mean of its losses


@dataclass(frozen=True, kw_only=True)
class PrecisionSetting:
    """What is trained: the shape of the model, rows and tokens of a batch, number of steps, and learning rate of AdamW."""

    shape: str = "Medium"
    rows: int = 4
    length: int = 128
    steps: int = 500
    rate: float = 3e-4


@dataclass(frozen=True, kw_only=True)
class LossCurve:
    """The loss of each step, and the median of the seconds of a step."""

    losses: list[float]
    seconds: float

    def windows(self) -> list[float]:
        """Average the losses of each window."""
        bounds = [len(self.losses) * number // WINDOWS for number in range(WINDOWS + 1)]
        return [statistics.fmean(self.losses[start:stop]) for start, stop in itertools.pairwise(bounds)]


def read_lines(setting: PrecisionSetting, tokenizer: GLMTokenizer) -> list[list[int]]:
    """Read the ids of the texts of the embedded corpus, each at most half of a row."""
    lines = tokenizer(training_texts(), add_special_tokens=False, verbose=False)["input_ids"]
    return [line[: setting.length // 2] for line in lines if len(line) > 4]


def draw_batches(
    setting: PrecisionSetting, tokenizer: GLMTokenizer, lines: Sequence[list[int]], seed: int
) -> Iterator[Batch]:
    """Draw packed batches of `rows` rows from the lines, without end."""
    collator = DataCollatorForBlankInfilling(tokenizer, packed_length=setting.length)
    draw = random.Random(seed)
    tokens = setting.rows * setting.length
    for number in itertools.count():
        features: list[dict] = []
        # A text grows by about a third: masks, starts of pieces, and the pieces.
        while sum(len(feature["input_ids"]) for feature in features) < tokens * 2 // 3:
            features.append({"input_ids": draw.choice(lines), "sample_id": number * 10_000 + len(features)})
        yield {name: values[: setting.rows] for name, values in collator(features).items()}


def train_side_by_side(
    setting: PrecisionSetting, tokenizer: GLMTokenizer, lines: Sequence[list[int]], seed: int
) -> dict[str, LossCurve]:
    """Train one model in each precision, on the same batches and with the same dropout masks."""
    batches = draw_batches(setting, tokenizer, lines, seed)
    shape = SHAPES[setting.shape].with_vocabulary(len(tokenizer))
    steps, losses, seconds, batch = {}, {FP32: [], BF16: []}, {FP32: [], BF16: []}, {}
    for name in losses:
        torch.manual_seed(seed)
        model = GLMForConditionalGeneration(glm_config(shape, **tokenizer.special_token_ids)).train()

        def compute_loss(model=model, kept=losses[name]) -> torch.Tensor:
            loss = model(**batch).loss
            kept.append(loss.item())
            return loss

        optimizer = torch.optim.AdamW(model.parameters(), lr=setting.rate, fused=True)
        steps[name] = optimizing(model, compute_loss, bf16=name == BF16, optimizer=optimizer)
    for number in range(setting.steps):
        batch.update(next(batches))
        for name, step in steps.items():
            torch.manual_seed(number)
            start = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - start)
    return {name: LossCurve(losses=losses[name], seconds=statistics.median(seconds[name])) for name in losses}


def show(curves: Mapping[str, Mapping[str, LossCurve]]) -> str:
    """
    Show the curves of all seeds as a Markdown table and a sentence.

    Args:
        curves: The curve of each precision, by seed.
    """
    windows = {
        name: [
            list(of_seeds) for of_seeds in zip(*(of_seed[name].windows() for of_seed in curves.values()), strict=True)
        ]
        for name in (FP32, BF16)
    }
    steps = len(next(iter(curves.values()))[FP32].losses)
    rows = []
    for place, of_window in enumerate(zip(windows[FP32], windows[BF16], strict=True)):
        means = [f"{statistics.fmean(losses):.3f}" for losses in of_window]
        spreads = [f"{min(losses):.3f} to {max(losses):.3f}" for losses in of_window]
        rows.append([f"{steps * place // WINDOWS + 1} to {steps * (place + 1) // WINDOWS}", *means, *spreads])
    header = ["steps", "loss in fp32", "loss in bf16", "seeds in fp32", "seeds in bf16"]
    ratios = sorted(of_seed[FP32].seconds / of_seed[BF16].seconds for of_seed in curves.values())
    speeds = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    return f"{make_table(header, rows)}\n\nA step in bf16 is {speeds} times as fast as one in fp32."


def main(arguments: Sequence[str] | None = None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in asdict(PrecisionSetting()).items():
        parser.add_argument(
            f"--{name}", type=type(default), default=default, choices=SHAPES if name == "shape" else None
        )
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 0")
    parser.add_argument(
        "--output", type=Path, default=Path("runs/training_precision.json"), help="file for the results"
    )
    args = parser.parse_args(arguments)
    setting = PrecisionSetting(**{name: getattr(args, name) for name in asdict(PrecisionSetting())})
    # Times count only beside those of the same machine.
    group = f"{', '.join(f'{name}={value}' for name, value in asdict(setting).items())}. {describe_this_machine()}"
    known = json.loads(args.output.read_text()) if args.output.exists() else {}
    seeds = known.setdefault(group, {})
    missing = [seed for seed in range(args.seeds) if str(seed) not in seeds]
    tokenizer = load_tokenizer()
    lines = read_lines(setting, tokenizer) if missing else []
    for seed in missing:
        trained = train_side_by_side(setting, tokenizer, lines, seed)
        seeds[str(seed)] = {name: asdict(curve) for name, curve in trained.items()}
        args.output.parent.mkdir(parents=True, exist_ok=True)
        write_whole(args.output, json.dumps(known) + "\n")
    curves = {
        seed: {name: LossCurve(**curve) for name, curve in seeds[seed].items()} for seed in map(str, range(args.seeds))
    }
    print(f"{describe_this_machine()}\n\n{show(curves)}")


if __name__ == "__main__":
    main()

"""
Time the training step of small models over their settings: which precision, attention, rows and shape are fastest here?

    OMP_NUM_THREADS=1 python -m benchmarks.studies.small_steps --precision fp32 bf16 --attention eager sdpa
    OMP_NUM_THREADS=1 python -m benchmarks.studies.small_steps --packed 64 128 256 512
    OMP_NUM_THREADS=1 python -m benchmarks.studies.small_steps --hidden 192 256 384 --optimizer adamw muon

Every combination takes turns with the first one, and the best of its rounds counts. The clock is the CPU time of the process,
so other work on the machine matters little. Texts have --text tokens of the embedded corpus and blanks of the token
objective; rows are packed. --output is a JSON file: combinations that it holds are not measured again.
"""

import argparse
import itertools
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from modeling_glm import DataCollatorForBlankInfilling, GLMConfig, GLMForConditionalGeneration
from modeling_glm.pretraining.optimizer import MuonWithAdamW, group_parameters
from modeling_glm.utils.files import write_whole

from ..harness.embedded import load_tokenizer, training_texts
from ..harness.machine import describe_this_machine
from ..harness.report import make_table
from ..harness.steps import Step, optimizing

NO_DROPOUT = {"hidden_dropout": 0.0, "attention_dropout": 0.0, "embedding_dropout": 0.0}


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The settings of a step: shape of the model, rows of the batch, and how it is computed."""

    hidden: int = 256
    layers: int = 6
    heads: int = 8
    vocabulary: int = 8192
    packed: int = 128
    tokens: int = 2048
    precision: str = "bf16"
    attention: str = "eager"
    optimizer: str = "adamw"


@dataclass(frozen=True, kw_only=True)
class MeasuredStep:
    """A step to time, and its number of tokens without padding."""

    run: Step
    tokens: int


def make_measured(setting: Setting, text: int) -> MeasuredStep:
    """
    Make a training step on packed rows.

    Args:
        setting: The settings of the step.
        text: Tokens of a text before corruption.
    """
    tokenizer = load_tokenizer()
    lines = tokenizer(training_texts(256), add_special_tokens=False)["input_ids"]
    ids = list(itertools.chain.from_iterable(lines))
    # A text grows by about a third: masks, starts of pieces, and the pieces.
    starts = [(number * text) % (len(ids) - text) for number in range(max(1, setting.tokens * 3 // (4 * text)))]
    texts = [{"input_ids": ids[start : start + text], "sample_id": number} for number, start in enumerate(starts)]
    batch = DataCollatorForBlankInfilling(tokenizer, packed_length=setting.packed)(texts)
    torch.manual_seed(0)
    config = GLMConfig(
        hidden_size=setting.hidden,
        num_hidden_layers=setting.layers,
        num_attention_heads=setting.heads,
        vocab_size=setting.vocabulary,
        max_position_embeddings=max(256, text),
        attn_implementation=setting.attention,
        **NO_DROPOUT,
        **tokenizer.special_token_ids,
    )
    model = GLMForConditionalGeneration(config).train()
    optimizer = None
    if setting.optimizer == "muon":
        decayed = [name for name, parameter in model.named_parameters() if parameter.ndim == 2]
        groups = group_parameters(model, decayed, weight_decay=0.1, muon_learning_rate=1e-4)
        optimizer = MuonWithAdamW(groups, {"lr": 1e-4, "fused": True})
    run = optimizing(model, lambda: model(**batch).loss, bf16=setting.precision == "bf16", optimizer=optimizer)
    return MeasuredStep(run=run, tokens=int(batch["attention_mask"].sum()))


def compare(first: MeasuredStep, other: MeasuredStep, rounds: int) -> dict[str, float]:
    """Time two steps in turns: tokens per CPU second of `other`, and how many times as fast as `first` it is."""
    best = [float("inf"), float("inf")]
    for number in range(rounds + 1):
        for place, step in enumerate((first, other)):
            start = time.process_time()
            step.run()
            if number:  # the first round warms up
                best[place] = min(best[place], time.process_time() - start)
    speeds = [step.tokens / seconds for step, seconds in zip((first, other), best, strict=True)]
    return {"tokens_per_second": round(speeds[1], 1), "times_as_fast": round(speeds[1] / speeds[0], 3)}


def show(results: dict[str, dict[str, float]], settings: Sequence[Setting]) -> str:
    """Show the results as a Markdown table."""
    names = list(asdict(settings[0]))
    rows = [
        [
            *(str(value) for value in asdict(setting).values()),
            *(f"{value:g}" for value in results[key(setting)].values()),
        ]
        for setting in settings
    ]
    return make_table([*names, "tokens per CPU second", "times as fast as the first"], rows)


def key(setting: Setting) -> str:
    """Return the key of a setting in the JSON file."""
    return ", ".join(f"{name}={value}" for name, value in asdict(setting).items())


def main(arguments: Sequence[str] | None = None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in asdict(Setting()).items():
        parser.add_argument(f"--{name}", nargs="+", type=type(default), default=[default])
    parser.add_argument("--text", type=int, default=32, help="tokens of a text")
    parser.add_argument("--rounds", type=int, default=3, help="rounds in which two steps take turns")
    parser.add_argument("--output", type=Path, default=Path("runs/small_steps.json"), help="file for the results")
    args = parser.parse_args(arguments)
    names = list(asdict(Setting()))
    grid = itertools.product(*(getattr(args, name) for name in names))
    settings = [Setting(**dict(zip(names, values, strict=True))) for values in grid]
    # Times count only beside those of the same first combination and machine.
    group = f"{key(settings[0])}, text={args.text}. {describe_this_machine()}"
    known = json.loads(args.output.read_text()) if args.output.exists() else {}
    results = known.setdefault(group, {})
    first = make_measured(settings[0], args.text)
    for setting in settings:
        if key(setting) not in results:
            results[key(setting)] = compare(first, make_measured(setting, args.text), args.rounds)
            args.output.parent.mkdir(parents=True, exist_ok=True)
            write_whole(args.output, json.dumps(known, indent=2) + "\n")
    print(f"{describe_this_machine()}\n\n{show(results, settings)}")


if __name__ == "__main__":
    main()

"""The settings of a run of 03_pretrain.py: its command line over a recipe, checked and completed."""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
import yaml
from pretrain_arguments import HERE, Arguments, PretrainingArguments
from pretrain_documents import Corpus
from pretrain_mixture import Phase
from transformers import HfArgumentParser

from modeling_glm.utils.files import is_free
from modeling_glm.utils.precision import has_fast_bf16

RECIPES = HERE / "recipes"
SUMMARY = "training.json"
RUN_FILE = "run.json"

# Fields of the arguments that the collator has under the same name.
COLLATOR_OPTIONS = (
    "mask_ratio",
    "mean_span_length",
    "sentence_ratio",
    "min_document_ratio",
    "suffix_probability",
    "single_span_probability",
    "short_probability",
    "block_mask_probability",
    "context_mask_ratio",
    "task_masks",
    "shuffle_spans",
    "block_positions",
    "random_positions",
    "max_length",
    "packed_length",
    "pad_to_multiple_of",
)

# Arguments of Trainer that are decided here, and what there is instead.
FIXED = {
    "gradient_accumulation_steps": "it follows from --global_batch_size and --per_device_train_batch_size",
    "lr_scheduler_type": "give --decay, --decay_steps and --min_lr_ratio",
    "lr_scheduler_kwargs": "give --decay, --decay_steps and --min_lr_ratio",
    "num_train_epochs": "give --max_steps",
    "resume_from_checkpoint": "a run goes on by itself; to start from other weights give --model",
    "ignore_data_skip": "data begin where the run left them",
    "train_sampling_strategy": "the order is that of --corpus and --curriculum",
    "data_seed": "give --seed",
    "auto_find_batch_size": "give --per_device_train_batch_size",
    "remove_unused_columns": "the numbers of the samples are needed",
    "prediction_loss_only": "only losses are measured",
}
OF_NEW_MODELS = (
    "preset",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "max_position_embeddings",
    "dropout",
    "vocab_size",
)


def parse_arguments(
    description: str, command_line: Sequence[str] | None = None
) -> tuple[Arguments, PretrainingArguments]:
    """
    Reads the command line, over the recipe that it names.

    Raises:
        SystemExit: for what argparse refuses, an unknown recipe, a key in it that is no argument, and settings that do
            not go together.
    """
    command_line = sys.argv[1:] if command_line is None else command_line
    parser = HfArgumentParser(
        (Arguments, PretrainingArguments),
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # what is looked for below would be missed
    )
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    early.add_argument("--recipe")
    early.add_argument("--phase", type=int, default=1)
    early.add_argument("--model")
    early.add_argument("--output_dir", default=PretrainingArguments.output_dir)
    early.add_argument("--fp16", nargs="?", const="true", default="false")
    known, _ = early.parse_known_args(command_line)
    # Not as defaults of the fields: those of bools must be constants.
    parser.set_defaults(bf16=_takes_bf16(known), use_cpu=not torch.accelerator.is_available())
    _refuse_given(command_line, known.model is not None)
    if known.recipe:
        parser.set_defaults(**read_recipe(known.recipe, known.phase))
    args, training, unknown = parser.parse_args_into_dataclasses(command_line, return_remaining_strings=True)
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}; names are written out in full, see --help")
    complete(args, training)
    return args, training


def _takes_bf16(known: argparse.Namespace) -> bool:
    """What the run had before, or accelerate says, or else where it pays."""
    if (run := read_run(known.output_dir)) is not None:
        return run["bf16"]
    if known.fp16.lower() not in ("false", "0", "no"):
        return False
    launched = os.environ.get("ACCELERATE_MIXED_PRECISION")
    return has_fast_bf16() if launched is None else launched == "bf16"


def read_run(output_dir: str | Path) -> dict[str, Any] | None:
    """What the run in a folder is, or None where there is none."""
    path = Path(output_dir) / RUN_FILE
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _refuse_given(command_line: Sequence[str], has_model: bool):
    """Raises for arguments that would be ignored."""
    given = {word[2:].partition("=")[0] for word in command_line if word.startswith("--")}
    for name, remedy in FIXED.items():
        if name in given:
            raise SystemExit(f"--{name} is not understood here: {remedy}.")
    if ignored := sorted(given & set(OF_NEW_MODELS)) if has_model else []:
        raise SystemExit(f"--{ignored[0]} is for new models: with --model it is what the model has.")


def read_recipe(name: str, phase: int = 1) -> dict[str, Any]:
    """The arguments that a recipe sets, by name; of a recipe with several phases those of one (from 1)."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else RECIPES / f"{name}.yaml"
    if not path.is_file():
        raise SystemExit(
            f"There is no recipe {name}: give a YAML file or one of {', '.join(sorted(p.stem for p in RECIPES.glob('*.yaml')))}."
        )
    try:
        recipe = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise SystemExit(f"{path} is not YAML: {error}") from None
    phases = recipe.pop("phases", [{}])
    if not 1 <= phase <= len(phases):
        raise SystemExit(f"{path} has {len(phases)} phases: there is no --phase {phase}.")
    recipe.update(phases[phase - 1])
    recipe = {
        k: [v] if k in ("corpus", "validation", "curriculum") and isinstance(v, str) else v for k, v in recipe.items()
    }
    allowed = {f.name for kind in (Arguments, PretrainingArguments) for f in fields(kind) if f.init}
    if unknown := sorted(set(recipe) - allowed):
        raise SystemExit(f"{path} sets {', '.join(unknown)}, which 03_pretrain.py does not know: see --help.")
    return recipe


def complete(args: Arguments, training: PretrainingArguments):
    """Fills in what follows from other arguments, and checks that they go together."""
    shares = args.objectives
    if not isinstance(shares, Mapping):
        try:
            shares = {name: float(share) for name, _, share in (item.partition("=") for item in shares)}
        except ValueError:
            raise SystemExit(f"--objectives {' '.join(shares)}: expected NAME=SHARE, such as token=0.7.") from None
    args.objectives = {name: share for name, share in shares.items() if share}
    if args.decay not in ("cosine", "linear"):
        raise SystemExit(f"--decay {args.decay}: expected cosine or linear.")
    if training.max_steps < 1:
        raise SystemExit(f"--max_steps {training.max_steps}: the length of a run is given in steps, at least 1.")
    if training.n_gpu > 1:
        raise SystemExit(
            f"There are {training.n_gpu} GPUs and one process: start one for each with `accelerate launch --config_file "
            "examples/accelerate/ddp.yaml`, or show it one with CUDA_VISIBLE_DEVICES=0."
        )
    per_process, rest = divmod(args.global_batch_size, training.world_size)
    if rest or per_process == 0:
        raise SystemExit(
            f"--global_batch_size {args.global_batch_size} cannot be shared among {training.world_size} processes: give a "
            "multiple of their number."
        )
    # The largest batch up to the given one that divides what a process has to do in a step.
    largest = min(training.per_device_train_batch_size, per_process)
    training.per_device_train_batch_size = next(size for size in range(largest, 0, -1) if per_process % size == 0)
    training.gradient_accumulation_steps = per_process // training.per_device_train_batch_size
    training.remove_unused_columns = False
    training.prediction_loss_only = True
    training.ignore_data_skip = True  # the data begin where the run left them
    training.train_sampling_strategy = "sequential"
    if args.decay == "cosine" and args.decay_steps is None:
        training.lr_scheduler_type = "cosine_with_min_lr"
        training.lr_scheduler_kwargs = {"min_lr_rate": args.min_lr_ratio}
    else:
        decaying = (args.decay_steps or training.max_steps) - training.get_warmup_steps(training.max_steps)
        training.lr_scheduler_type = "warmup_stable_decay"
        training.lr_scheduler_kwargs = {
            "num_decay_steps": max(1, decaying),
            "decay_type": args.decay,
            "min_lr_ratio": args.min_lr_ratio,
        }
        if args.decay_steps is not None:  # else it is what is left of the steps, which is nothing
            training.lr_scheduler_kwargs["num_stable_steps"] = 0
    if args.packed_length is None:
        args.packed_length = args.max_length // 2 if training.use_cpu else args.max_length * 2
    args.packed_length = args.packed_length or None
    if args.export_dtype not in ("float32", "bfloat16", "float16"):
        raise SystemExit(f"--export_dtype {args.export_dtype}: expected float32, bfloat16 or float16.")
    args.export = args.export or str(Path(training.output_dir) / "final")
    check_export(Path(args.export), Path(training.output_dir), Path(args.cache_dir))


def check_export(export: Path, *kept: Path):
    """Raises if writing the finished model there would delete anything but an earlier one."""
    for folder in (*kept, Path.cwd()):
        if folder.resolve().is_relative_to(export.resolve()):
            raise SystemExit(
                f"--export {export} would take the place of {folder}, which holds other things: name a folder of its own."
            )
    if not is_free(export) and not (export / SUMMARY).is_file():
        raise SystemExit(f"--export {export} exists and is no finished model of this script: name another folder.")


def read_corpora(args: Arguments, sources: Sequence[str]) -> tuple[list[Corpus], list[float] | None]:
    """The corpora that the arguments name, and their weights, or None if none has any."""
    corpora, weights = [], []
    for source in sources:
        name, sign, weight = source.rpartition("=")
        if sign and weight.replace(".", "", 1).isdigit():
            weights.append(float(weight))
        else:
            name = source
        corpora.append(Corpus(source=name, text_column=args.text_column, split=args.split, documents=args.documents))
    if weights and len(weights) != len(corpora):
        raise SystemExit(f"{' '.join(sources)}: give every corpus a weight, or none.")
    return corpora, weights or None


def read_phases(args: Arguments, weights: Sequence[float] | None, sizes: Sequence[int]) -> list[Phase]:
    """The shares of the corpora over the run: those of the curriculum, of --corpus, or in proportion to the sizes."""
    if weights is None:
        weights = [size / sum(sizes) for size in sizes]
    phases = {0: tuple(weights)}
    for item in args.curriculum or []:
        step, _, shares = item.partition(":")
        try:
            phases[int(step) * args.global_batch_size] = tuple(map(float, shares.split(",")))
        except ValueError:
            raise SystemExit(f"--curriculum {item}: expected STEP:WEIGHT,WEIGHT,...") from None
    return [Phase(from_sample=sample, weights=shares) for sample, shares in phases.items()]

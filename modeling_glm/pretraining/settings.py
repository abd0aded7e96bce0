"""The settings of a run: the command line over a recipe, checked and completed."""

import argparse
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from transformers import HfArgumentParser
from transformers.training_args import OptimizerNames

from ..configuration_glm import read_json
from ..runs.lock import require_folder
from ..utils.files import is_free
from ..utils.help import HelpFormatter
from ..utils.precision import has_fast_bf16
from ..utils.recipes import read_recipe_file
from .arguments import GROUPS, RATE_WITH_MODEL, PretrainingArguments, RunArguments
from .documents import Corpus
from .mixture import Phase
from .multitask import MultiTaskOrder
from .optimizer import MUON, has_muon, is_sharded_by_launcher

# Behind the name of a corpus: texts=0.5, texts=1e-3
WEIGHT = re.compile(r"(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
SUMMARY = "training.json"
RUN_FILE = "run.json"
TASKS_LOSS = "tasks"  # the validation loss of multi-task training: eval_tasks_loss

# RunArguments of Trainer that are decided here, and what to give instead.
FIXED = {
    "gradient_accumulation_steps": "it follows from --global_batch_size and --per_device_train_batch_size",
    "lr_scheduler_type": "give --decay, --decay_steps and --min_lr_ratio",
    "lr_scheduler_kwargs": "give --decay, --decay_steps and --min_lr_ratio",
    "num_train_epochs": "give --max_steps",
    "resume_from_checkpoint": "run the same command again to resume; to start from other weights give --model",
    "ignore_data_skip": "the data begin where the run stopped",
    "train_sampling_strategy": "the order follows from --corpus and --curriculum",
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
DTYPES = ("float32", "bfloat16", "float16")


def parse_arguments(
    description: str,
    command_line: Sequence[str] | None = None,
    *,
    recipes: Path | None = None,
    embedded_corpus: str | None = None,
) -> tuple[RunArguments, PretrainingArguments]:
    """
    Read the command line, over the recipe that it names.

    Args:
        description: Text at the top of `--help`.
        command_line: Words after the name of the program; by default those of this process.
        recipes: Folder of the recipes that `--recipe` finds by name.
        embedded_corpus: Name of a corpus that the program brings along, the default of `--corpus`.

    Returns:
        Our arguments and those of Trainer, completed by `complete`.

    Raises:
        SystemExit: For what argparse refuses, an unknown recipe, an unknown key in it, and settings that contradict each
            other.
    """
    command_line = sys.argv[1:] if command_line is None else command_line
    parser = HfArgumentParser(
        (*GROUPS, PretrainingArguments),  # type: ignore[arg-type]
        description=description,
        formatter_class=HelpFormatter,
        allow_abbrev=False,  # the early parser below would miss abbreviations
    )
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    early.add_argument("--recipe")
    early.add_argument("--phase", type=int, default=1)
    early.add_argument("--model")
    early.add_argument("--output_dir", "--output-dir", default=PretrainingArguments.output_dir)
    early.add_argument("--fp16", nargs="?", const="true", default="false")
    known, _ = early.parse_known_args(command_line)
    # Not as defaults of the fields: those of bools must be constants.
    parser.set_defaults(bf16=_use_bf16(known), use_cpu=not torch.accelerator.is_available())
    if embedded_corpus:
        parser.set_defaults(corpus=[embedded_corpus])
    _refuse_ignored(command_line, known.model is not None)
    recipe = read_recipe(known.recipe, known.phase, recipes) if known.recipe else {}
    if known.model is not None or recipe.get("model") is not None:
        parser.set_defaults(learning_rate=RATE_WITH_MODEL)
    parser.set_defaults(**recipe)
    *groups, training, unknown = parser.parse_args_into_dataclasses(command_line, return_remaining_strings=True)
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}; write names in full, see --help")
    args = RunArguments(**{name: value for group in groups for name, value in vars(group).items()})
    complete(args, training)
    return args, training


def _use_bf16(known: argparse.Namespace) -> bool:
    """Return what the run had before, or what accelerate says, or whether bf16 is faster here."""
    if (run := read_run(known.output_dir)) is not None:
        if not isinstance(run.get("bf16"), bool):
            raise SystemExit(f"{known.output_dir} holds a run that is no pretraining: name another --output_dir.")
        return run["bf16"]
    if known.fp16.lower() not in ("false", "0", "no"):
        return False
    launched = os.environ.get("ACCELERATE_MIXED_PRECISION")
    return has_fast_bf16() if launched is None else launched == "bf16"


def read_run(output_dir: str | Path) -> dict[str, Any] | None:
    """
    Read `run.json` of a folder. Return None if the folder has none.

    Raises:
        SystemExit: If the file is damaged.
    """
    path = Path(output_dir) / RUN_FILE
    if not path.is_file():
        return None
    try:
        return read_json(path)
    except ValueError as error:
        raise SystemExit(f"{error} Restore a copy of it, or name another --output_dir.") from None


def _refuse_ignored(command_line: Sequence[str], has_model: bool):
    """Raise SystemExit for arguments that would have no effect."""
    words = (word[2:].partition("=")[0] for word in command_line if word.startswith("--"))
    given = {word.replace("-", "_") for word in words}  # the parser takes both forms
    for name, remedy in FIXED.items():
        if name in given:
            raise SystemExit(f"--{name} cannot be set here: {remedy}.")
    if ignored := sorted(given & set(OF_NEW_MODELS)) if has_model else []:
        raise SystemExit(f"--{ignored[0]} is for new models: with --model it is what the model has.")


def read_recipe(name: str, phase: int = 1, recipes: Path | None = None) -> dict[str, Any]:
    """
    Read the arguments that a recipe sets.

    Args:
        name: A YAML file, or the name of one in `recipes`, without its ending.
        phase: Phase of the recipe, from 1. What a phase does not set is as in the recipe.
        recipes: Folder of the recipes.

    Raises:
        SystemExit: For an unknown recipe, phase or key, and a file that is not YAML.
    """
    try:
        path, recipe = read_recipe_file(name, recipes)
    except (ValueError, OSError) as error:
        raise SystemExit(str(error)) from None
    phases = recipe.pop("phases", [{}]) if isinstance(recipe, dict) else None
    if not isinstance(phases, list) or not all(isinstance(settings, dict) for settings in phases):
        raise SystemExit(f"{path} does not hold arguments by their names, and phases as a list of them.")
    if not 1 <= phase <= len(phases):
        raise SystemExit(f"{path} has {len(phases)} phases: there is no --phase {phase}.")
    recipe.update(phases[phase - 1])
    for key in ("corpus", "validation", "curriculum", "multi_task"):
        if isinstance(recipe.get(key), str):
            recipe[key] = [recipe[key]]
    allowed = {option.name for kind in (RunArguments, PretrainingArguments) for option in fields(kind) if option.init}
    if unknown := sorted(set(recipe) - allowed):
        raise SystemExit(f"{path} sets unknown arguments: {', '.join(unknown)}. See --help.")
    return recipe


def complete(args: RunArguments, training: PretrainingArguments):
    """
    Fill in what follows from other arguments, and check that they fit together.

    Raises:
        SystemExit: For settings that contradict each other.
    """
    args.shares = _read_objectives(args.objectives)
    if training.max_steps < 1:
        raise SystemExit(f"--max_steps {training.max_steps}: give the length of a run in steps, at least 1.")
    if args.export_dtype not in DTYPES:
        raise SystemExit(f"--export_dtype {args.export_dtype}: expected one of {', '.join(DTYPES)}.")
    if not args.corpus:
        raise SystemExit("--corpus is missing: name files, folders or datasets to train on.")
    _check_tasks(args)
    _check_optimizer(args, training)
    _share_batch(args, training)
    _set_schedule(args, training)
    training.remove_unused_columns = False
    training.prediction_loss_only = True
    training.ignore_data_skip = True  # the data begin where the run stopped
    training.train_sampling_strategy = "sequential"
    if args.packed_length is None:
        args.packed_length = args.max_length // 2 if training.use_cpu else args.max_length * 2
    args.packed_length = args.packed_length or None
    try:
        require_folder(training.folder, "--output_dir")
        require_folder(args.cache_dir, "--cache_dir")
    except ValueError as error:
        raise SystemExit(str(error)) from None
    args.export = args.export or str(training.folder / "final")
    check_export(Path(args.export), training.folder, Path(args.cache_dir))


def _read_objectives(shares: Mapping[str, float] | Sequence[str]) -> dict[str, float]:
    """Read shares: `["token=0.7", "document=0.3"]` -> `{"token": 0.7, "document": 0.3}`; a recipe has the latter."""
    if not isinstance(shares, Mapping):
        try:
            shares = {name: float(share) for name, _, share in (item.partition("=") for item in shares)}
        except ValueError:
            raise SystemExit(f"--objectives {' '.join(shares)}: expected NAME=SHARE, such as token=0.7.") from None
    return {name: share for name, share in shares.items() if share}


def _check_tasks(args: RunArguments):
    """Raise SystemExit if tasks have no share, or a share no tasks."""
    ratio = args.multi_task_ratio
    if args.multi_task and not 0 < ratio < 1:
        raise SystemExit(f"--multi_task_ratio {ratio:g}: give the share of the tasks, between 0 and 1, such as 0.1.")
    if ratio and not args.multi_task:
        raise SystemExit(f"--multi_task_ratio {ratio:g} has no tasks: name some with --multi_task.")


def _check_optimizer(args: RunArguments, training: PretrainingArguments):
    """Set the learning rate of Muon. Raise SystemExit if the run cannot have this optimizer."""
    if args.optimizer != MUON:
        if args.muon_learning_rate is not None:
            raise SystemExit(f"--muon_learning_rate {args.muon_learning_rate:g} needs --optimizer muon.")
        return
    if not has_muon():
        raise SystemExit(f"--optimizer muon needs torch 2.9 or later, and this is {torch.__version__}: update torch.")
    other = OptimizerNames(training.optim)
    if other not in (OptimizerNames.ADAMW_TORCH, OptimizerNames.ADAMW_TORCH_FUSED):
        raise SystemExit(
            f"--optimizer muon trains embeddings and biases with AdamW, and --optim is {other.value}: leave out --optim."
        )
    if training.fsdp or training.deepspeed or is_sharded_by_launcher(os.environ):
        raise SystemExit(
            "--optimizer muon needs whole matrices, and FSDP and DeepSpeed shard them: use --optimizer adamw, or start "
            "with examples/accelerate/ddp.yaml."
        )
    if args.muon_learning_rate is None:
        args.muon_learning_rate = training.learning_rate
    if args.muon_learning_rate < 0:
        raise SystemExit(
            f"--muon_learning_rate {args.muon_learning_rate:g}: give a number of at least 0, such as 0.002."
        )


def measured_losses(args: RunArguments) -> list[str]:
    """List the names of the validation losses: the objectives and, in multi-task training, the tasks."""
    return [*args.shares, *([TASKS_LOSS] if args.multi_task else [])]


def task_order(args: RunArguments, training: PretrainingArguments) -> MultiTaskOrder | None:
    """Return which samples of a run are of tasks; None without tasks."""
    if not args.multi_task:
        return None
    return MultiTaskOrder(args.multi_task_ratio, args.multi_task_unit, args.global_batch_size, training.seed)


def _share_batch(args: RunArguments, training: PretrainingArguments):
    """Set the batch size of a process and the accumulation steps, so that a step has `global_batch_size` texts."""
    if training.n_gpu > 1:
        raise SystemExit(
            f"There are {training.n_gpu} GPUs and one process. Start one process per GPU with `accelerate launch "
            "--config_file examples/accelerate/ddp.yaml`, or show only one GPU with CUDA_VISIBLE_DEVICES=0."
        )
    per_process, rest = divmod(args.global_batch_size, training.world_size)
    if rest or per_process == 0:
        raise SystemExit(
            f"--global_batch_size {args.global_batch_size} cannot be shared among {training.world_size} processes: give a "
            "multiple of their number."
        )
    # The largest batch size up to the given one that divides the texts of a process.
    largest = min(training.per_device_train_batch_size, per_process)
    training.per_device_train_batch_size = next(size for size in range(largest, 0, -1) if per_process % size == 0)
    training.gradient_accumulation_steps = per_process // training.per_device_train_batch_size


def _set_schedule(args: RunArguments, training: PretrainingArguments):
    """Set the scheduler of Trainer that has the wanted decay."""
    if args.decay not in ("cosine", "linear"):
        raise SystemExit(f"--decay {args.decay}: expected cosine or linear.")
    if args.decay == "cosine" and args.decay_steps is None:
        training.lr_scheduler_type = "cosine_with_min_lr"
        training.lr_scheduler_kwargs = {"min_lr_rate": args.min_lr_ratio}
        return
    decaying = (args.decay_steps or training.max_steps) - training.get_warmup_steps(training.max_steps)
    training.lr_scheduler_type = "warmup_stable_decay"
    training.lr_scheduler_kwargs = {
        "num_decay_steps": max(1, decaying),
        "decay_type": args.decay,
        "min_lr_ratio": args.min_lr_ratio,
    }
    if args.decay_steps is not None:
        # Without it the scheduler takes all steps but warm-up and decay, and stays at the peak for them.
        training.lr_scheduler_kwargs["num_stable_steps"] = 0


def check_export(export: Path, *kept: Path):
    """Raise SystemExit if a model written to `export` would delete anything but an earlier model."""
    for folder in (*kept, Path.cwd()):
        if folder.resolve().is_relative_to(export.resolve()):
            raise SystemExit(f"--export {export} would replace {folder}, which holds other files: name a new folder.")
    if not is_free(export) and not (export / SUMMARY).is_file():
        raise SystemExit(f"--export {export} exists and is not a finished model of a run: name another folder.")


def read_corpora(args: RunArguments, sources: Sequence[str]) -> tuple[list[Corpus], list[float] | None]:
    """
    Read the corpora that the arguments name.

    Returns:
        The corpora, and the weight of each, or None if none has a weight.

    Raises:
        SystemExit: If some corpora have a weight and others have none.
    """
    corpora, weights = [], []
    for source in sources:
        name, sign, weight = source.rpartition("=")
        if sign and WEIGHT.fullmatch(weight) and not Path(source).exists():
            weights.append(float(weight))
        else:
            name = source
        corpora.append(Corpus(source=name, text_column=args.text_column, split=args.split, documents=args.documents))
    if weights and len(weights) != len(corpora):
        raise SystemExit(f"{' '.join(sources)}: give every corpus a weight, or none.")
    return corpora, weights or None


def read_phases(
    args: RunArguments, weights: Sequence[float] | None, sizes: Sequence[int], tasks: MultiTaskOrder | None = None
) -> list[Phase]:
    """
    Read the shares of the corpora over the run.

    Args:
        args: Their curriculum sets the shares from a step on.
        weights: Shares at the beginning; None takes them in proportion to the sizes.
        sizes: Number of texts of every corpus.
        tasks: Which samples of the run are of tasks. The samples of phases count texts only.

    Raises:
        SystemExit: For a curriculum of another form.
    """
    if weights is None:
        weights = [size / sum(sizes) for size in sizes]
    phases = {0: tuple(weights)}
    for item in args.curriculum or []:
        step, _, shares = item.partition(":")
        try:
            sample = int(step) * args.global_batch_size
            phases[sample if tasks is None else tasks.count_texts(sample)] = tuple(map(float, shares.split(",")))
        except ValueError:
            raise SystemExit(f"--curriculum {item}: expected STEP:WEIGHT,WEIGHT,...") from None
    return [Phase(from_sample=sample, weights=shares) for sample, shares in phases.items()]

"""The arguments of 03_pretrain.py: its own, those of Trainer, and the recipes that set both."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
import yaml
from common import has_fast_bf16
from pretrain_documents import DOCUMENTS, Corpus
from pretrain_mixture import Phase
from transformers import HfArgumentParser, TrainingArguments

from modeling_glm.configuration_glm import PRESETS

HERE = Path(__file__).parent
RECIPES = HERE / "recipes"
EMBEDDED_CORPUS = "python"

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


@dataclass
class Arguments:
    """What to train, on what, and where to."""

    recipe: str | None = field(
        default=None,
        metadata={
            "help": "A published recipe by name (see examples/recipes), or a YAML file with arguments as keys. Other "
            "arguments of the command line come before it."
        },
    )
    phase: int = field(default=1, metadata={"help": "Which phase of a recipe that has several; go on with --model."})
    corpus: list[str] = field(
        default_factory=lambda: [EMBEDDED_CORPUS],
        metadata={
            "help": "'python' for text that ships with Python, or files (.txt, .jsonl, .parquet, also .gz), folders, "
            "patterns or names of datasets; with =WEIGHT behind each, or without (then by size)."
        },
    )
    curriculum: list[str] | None = field(
        default=None, metadata={"help": "STEP:WEIGHT,WEIGHT,...: weights of the corpora from a step on."}
    )
    validation: list[str] | None = field(
        default=None, metadata={"help": "Corpora to validate on; if not given, a part of every corpus is held out."}
    )
    held_out: float = field(default=0.02, metadata={"help": "Share of every corpus to hold out."})
    validation_texts: int = field(default=512, metadata={"help": "Most texts to validate on."})
    text_column: str = field(default="text", metadata={"help": "Of JSON lines, Parquet files and datasets."})
    split: str = field(default="train", metadata={"help": "Of datasets."})
    documents: str = field(
        default="lines", metadata={"help": f"What is a document in .txt files: {', '.join(DOCUMENTS)}."}
    )
    cache_dir: str = field(default="runs/corpora", metadata={"help": "Where tokenized corpora are kept."})
    num_proc: int | None = field(default=None, metadata={"help": "Processes that tokenize files side by side."})
    tokenizer: str | None = field(
        default=None, metadata={"help": "Folder or hub id of a vocabulary; if not given, one is trained."}
    )
    vocab_size: int = field(default=4096, metadata={"help": "Tokens of the vocabulary that is trained."})
    vocabulary_texts: int = field(default=1_000_000, metadata={"help": "Documents that it is trained on, at most."})
    vocabulary: str | None = field(
        default=None, metadata={"help": "Which vocabulary a published recipe has; for your information only."}
    )
    model: str | None = field(
        default=None, metadata={"help": "Folder or hub id of a GLM to go on from, with its vocabulary."}
    )
    preset: str | None = field(default=None, metadata={"help": f"A published size: {', '.join(PRESETS)}."})
    hidden_size: int = field(default=192, metadata={"help": "Width, without a preset."})
    num_hidden_layers: int = field(default=5, metadata={"help": "Depth, without a preset."})
    num_attention_heads: int = field(default=6, metadata={"help": "Attention heads, without a preset."})
    dropout: float | None = field(
        default=None, metadata={"help": "0.1 as in the paper with a preset, 0 without: what is seen once needs none."}
    )
    max_position_embeddings: int | None = field(
        default=None, metadata={"help": "Rows of the position table; if not given, that of the preset or max_length."}
    )
    attn_implementation: str = field(
        default="sdpa" if torch.cuda.is_available() else "eager",
        metadata={"help": "Attention function. On CPUs the backward pass of SDPA is slow for short texts."},
    )
    objectives: list[str] = field(
        default_factory=lambda: ["token=0.75", "sentence=0.1", "document=0.15"],
        metadata={"help": "Shares of the objectives."},
    )
    mask_ratio: float = field(default=0.25, metadata={"help": "Share of a text that the token objective blanks out."})
    mean_span_length: float = field(default=3.0, metadata={"help": "Mean length of its spans."})
    sentence_ratio: float = field(default=0.15, metadata={"help": "Share that the sentence objective blanks out."})
    min_document_ratio: float = field(default=0.5, metadata={"help": "Shortest target of the document objective."})
    suffix_probability: float = field(default=0.5, metadata={"help": "How often that is the rest of the text."})
    single_span_probability: float = field(default=0.0, metadata={"help": "How often a text has one short span."})
    short_probability: float = field(default=0.0, metadata={"help": "How often a text is cut into short ones."})
    block_mask_probability: float = field(default=0.0, metadata={"help": "How often [dBLOCK] is fed in a piece."})
    context_mask_ratio: float = field(default=0.0, metadata={"help": "Share of Part A that becomes [dBLOCK]."})
    task_masks: bool = field(default=True, metadata={"help": "Whether [sMASK] and [gMASK] are used."})
    shuffle_spans: bool = field(default=True, metadata={"help": "Whether pieces come in random order."})
    block_positions: bool = field(default=True, metadata={"help": "Whether positions count within a piece."})
    random_positions: bool = field(default=False, metadata={"help": "Whether positions begin anywhere."})
    max_length: int = field(default=256, metadata={"help": "Longest text in tokens; longer documents are cut."})
    packed_length: int | None = field(
        default=None,
        metadata={
            "help": "Tokens that a row is filled up to with texts; 0: one text per row. If not given, 1.25 max_length on a "
            "GPU and half of max_length on a CPU, where long rows cost more."
        },
    )
    pad_to_multiple_of: int | None = field(
        default=8,
        metadata={"help": "What the length of rows is rounded up to: kernels like it, and fewer shapes occur."},
    )
    global_batch_size: int = field(
        default=48, metadata={"help": "Texts per step over all processes; accumulation follows from it."}
    )
    decay: str = field(default="cosine", metadata={"help": "cosine or linear."})
    decay_steps: int | None = field(
        default=None, metadata={"help": "Step at which the learning rate reaches its floor; max_steps if not given."}
    )
    min_lr_ratio: float = field(
        default=0.05, metadata={"help": "Where the learning rate ends, as a share of its peak."}
    )
    peak_tflops: float | None = field(
        default=None, metadata={"help": "Of one device, for the MFU in the log; measured by a matmul if not given."}
    )
    export: str | None = field(
        default=None, metadata={"help": "Folder for the finished model; output_dir/final if not given."}
    )
    blanks: int = field(default=2000, metadata={"help": "Held-out blanks of the embedded corpus to measure on."})


@dataclass
class PretrainingArguments(TrainingArguments):
    """Those of Transformers, with defaults for pretraining."""

    output_dir: str | None = field(default="runs/glm-tiny", metadata={"help": "Checkpoints; resumed from."})
    max_steps: int = field(default=9600, metadata={"help": "Length of the run in steps."})
    per_device_train_batch_size: int = field(
        default=48, metadata={"help": "Texts per process and forward pass, at most."}
    )
    per_device_eval_batch_size: int = field(default=16, metadata={"help": "Texts per forward pass of validation."})
    learning_rate: float = field(default=2e-3, metadata={"help": "Peak learning rate."})
    warmup_steps: float = field(default=0.03, metadata={"help": "Steps up to it, or a share of all."})
    weight_decay: float = field(default=0.1, metadata={"help": "Not for biases and LayerNorm."})
    adam_beta2: float = field(default=0.98, metadata={"help": "Of AdamW."})
    adam_epsilon: float = field(default=1e-6, metadata={"help": "Of AdamW."})
    bf16: bool = field(default=False, metadata={"help": "bf16 autocast; by default where it pays."})
    use_cpu: bool = field(default=False, metadata={"help": "Whether to stay off the GPU; by default where none is."})
    eval_strategy: str = field(default="steps", metadata={"help": "When the validation losses are measured."})
    eval_steps: float | None = field(default=250, metadata={"help": "Steps between them."})
    save_steps: float = field(default=250, metadata={"help": "Steps between checkpoints."})
    save_total_limit: int | None = field(default=2, metadata={"help": "Checkpoints that are kept."})
    logging_steps: float = field(default=50, metadata={"help": "Steps between losses."})
    report_to: str | None = field(default="none", metadata={"help": "tensorboard, trackio, wandb, ..."})
    seed: int = field(default=0, metadata={"help": "For weights, order and blanks."})


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
    )
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    early.add_argument("--recipe")
    early.add_argument("--phase", type=int, default=1)
    known, _ = early.parse_known_args(command_line)
    # Not as defaults of the fields: those of bools must be constants.
    parser.set_defaults(bf16=has_fast_bf16(), use_cpu=not torch.cuda.is_available())
    if known.recipe:
        parser.set_defaults(**read_recipe(known.recipe, known.phase))
    args, training = parser.parse_args_into_dataclasses(command_line)
    complete(args, training)
    return args, training


def read_recipe(name: str, phase: int = 1) -> dict[str, Any]:
    """The arguments that a recipe sets, by name; of a recipe with several phases those of one (from 1)."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else RECIPES / f"{name}.yaml"
    if not path.is_file():
        raise SystemExit(
            f"There is no recipe {name}: give a YAML file or one of {', '.join(sorted(p.stem for p in RECIPES.glob('*.yaml')))}."
        )
    try:
        recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise SystemExit(f"{path} is not YAML: {error}") from None
    phases = recipe.pop("phases", [{}])
    if not 1 <= phase <= len(phases):
        raise SystemExit(f"{path} has {len(phases)} phases: there is no --phase {phase}.")
    recipe.update(phases[phase - 1])
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
            "num_stable_steps": 0,
            "num_decay_steps": max(1, decaying),
            "decay_type": args.decay,
            "min_lr_ratio": args.min_lr_ratio,
        }
    if args.packed_length is None:
        args.packed_length = args.max_length // 2 if training.use_cpu else args.max_length * 5 // 4
    args.packed_length = args.packed_length or None
    if args.export is None:
        is_default = args.corpus == [EMBEDDED_CORPUS] and Path(training.output_dir) == Path("runs/glm-tiny")
        args.export = str(HERE / "glm-tiny") if is_default else str(Path(training.output_dir) / "final")


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
        raise SystemExit(f"--corpus {' '.join(sources)}: give every corpus a weight, or none.")
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

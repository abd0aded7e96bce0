"""Read the arguments of a fine-tuning from source to target: a recipe, overridden by the command line."""

import argparse
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from transformers import HfArgumentParser, Seq2SeqTrainingArguments

from ..runs.fine_tuning import LEAST_STEPS
from ..utils.help import short_formatter
from ..utils.recipes import read_recipe_file
from .metrics import METRICS


@dataclass
class Seq2SeqDataArguments:
    """Say where the sources and targets are."""

    _argument_group_name = "Sources and targets"  # HfArgumentParser puts it above these arguments

    recipe: str | None = field(
        default=None,
        metadata={
            "help": "A YAML file with arguments, or one of {recipes}. Arguments of the command line override it."
        },
    )
    task: str | None = field(
        default=None,
        metadata={
            "help": "An embedded task ({embedded}; the first by default), or a task of the originals, whose files are in "
            "--data_dir: {published}."
        },
    )
    data_dir: str | None = field(default=None, metadata={"help": "Folder with the files of a task of the originals."})
    dataset: str | None = field(
        default=None,
        metadata={
            "help": "A dataset of the hub, or a folder that the package datasets reads.",
            "aliases": ["--dataset_name"],
        },
    )
    dataset_config: str | None = field(
        default=None, metadata={"help": "Its configuration, such as 3.0.0.", "aliases": ["--dataset_config_name"]}
    )
    train_file: str | None = field(default=None, metadata={"help": "CSV, TSV, JSON lines or Parquet to train on."})
    validation_file: str | None = field(
        default=None,
        metadata={"help": "Rows that choose the best checkpoint. By default a tenth of the training rows."},
    )
    test_file: str | None = field(default=None, metadata={"help": "Rows with targets to report on."})
    predict_file: str | None = field(
        default=None,
        metadata={"help": "Rows to predict. Their columns are repeated with the answers in predicted.jsonl."},
    )
    source: str | None = field(default=None, metadata={"help": "Column with the sources, by default source."})
    target: list[str] | None = field(
        default=None, metadata={"help": "Column with the targets, by default target; or one column for each blank."}
    )
    pattern: str | None = field(
        default=None,
        metadata={
            "help": "Text with fields and blanks: '[sMASK] Content: {source|shorten}'. {source} is the column --source, other "
            "fields are columns of their own. By default a blank behind the source."
        },
    )
    max_source_length: int | None = field(
        default=None,
        metadata={
            "help": "Most tokens of a filled pattern. Fields marked |shorten are cut to fit. By default what is left."
        },
    )
    max_target_length: int | None = field(
        default=None,
        metadata={"help": "Most tokens of the targets of a row. By default what the position table leaves."},
    )
    layout: str = field(
        default="glm",
        metadata={
            "help": "glm (the default), or original: for checkpoints that the authors' code fine-tuned, whose padding is read "
            "as text. It needs both lengths."
        },
    )
    packing: bool = field(default=False, metadata={"help": "Train on rows that hold several examples."})
    mask_ratio: float = field(
        default=0.3, metadata={"help": "For the task blank: share of the words in blanks, by default %(default)s."}
    )
    limit: int | None = field(default=None, metadata={"help": "Use at most this many rows of every split."})


@dataclass
class Seq2SeqModelArguments:
    """The model."""

    _argument_group_name = "Model"

    model: str | None = field(
        default=None,
        metadata={"help": "Folder or hub id of a GLM, or the output folder of a run. By default the embedded one."},
    )
    predict_only: bool = field(
        default=False, metadata={"help": "Do not train: measure the model as it is, and predict."}
    )
    lora: bool = field(default=False, metadata={"help": "Train only LoRA matrices."})
    lora_rank: int = field(default=8, metadata={"help": "Rank of the LoRA matrices, by default %(default)s."})
    merge: bool = field(
        default=False, metadata={"help": "With --lora: merge the matrices into the weights and write a whole model."}
    )


@dataclass
class Seq2SeqAnswerArguments:
    """Say how to search for answers, and how to measure them."""

    _argument_group_name = "Answers"

    num_beams: int | None = field(
        default=None,
        metadata={"help": "Number of beams. By default that of the saved model, or 1 (greedy)."},
    )
    length_penalty: float | None = field(
        default=None,
        metadata={
            "help": "With beams: the sum of log-probabilities is divided by this power of the length, by default 1."
        },
    )
    no_repeat_ngram_size: int | None = field(
        default=None,
        metadata={"help": "No n-gram of this size occurs twice in the answers of a row. By default 0 (off)."},
    )
    min_new_tokens: int | None = field(default=None, metadata={"help": "Shortest answer in tokens, by default 0."})
    max_new_tokens: int | None = field(
        default=None, metadata={"help": "Most tokens of all answers of a row. By default --max_target_length."}
    )
    original_search: bool = field(
        default=False,
        metadata={"help": "Use the beam search of the authors' code, which scores beams in another way."},
    )
    metrics: list[str] | None = field(
        default=None,
        metadata={"help": f"What to report: {', '.join(METRICS)}. By default rouge, or those of the task."},
    )
    show: int = field(
        default=8, metadata={"help": "Number of examples in the table at the end, by default %(default)s."}
    )


@dataclass
class Seq2SeqRunArguments(Seq2SeqTrainingArguments):
    """Hold the arguments of Trainer with defaults for seq2seq; see `set_defaults` for those that are 0."""

    _argument_group_name = "Training"

    output_dir: str | None = field(
        default="runs/seq2seq", metadata={"help": "Folder for checkpoints and results, by default %(default)s."}
    )
    learning_rate: float = field(
        default=0.0,
        metadata={
            "help": "Peak learning rate. By default 1e-5 for a model of the size of GLM-Large, more for smaller models (3e-4 for "
            "the embedded one), and 10 times as much with --lora."
        },
    )
    min_lr_ratio: float = field(
        default=0.0, metadata={"help": "The linear decay of the learning rate ends at this share of it, by default 0."}
    )
    num_train_epochs: float = field(
        default=0.0,
        metadata={
            "help": f"Passes over the rows. By default 10, or as many as make {LEAST_STEPS} steps, but at most 60."
        },
    )
    per_device_train_batch_size: int = field(
        default=16, metadata={"help": "Rows per training step, by default %(default)s."}
    )
    per_device_eval_batch_size: int = field(
        default=32, metadata={"help": "Rows per evaluation step, by default %(default)s."}
    )
    train_sampling_strategy: str = field(
        default="group_by_length",
        metadata={
            "help": "group_by_length (the default: rows of similar length share a batch), random or sequential. Beyond 50,000 "
            "rows the lengths are not known, and the order is random."
        },
    )
    label_smoothing_factor: float = field(
        default=0.1, metadata={"help": "Label smoothing, by default %(default)s as in the paper."}
    )
    weight_decay: float = field(
        default=0.1, metadata={"help": "Weight decay of AdamW, by default %(default)s as in the paper."}
    )
    warmup_steps: float = field(
        default=0.06,
        metadata={"help": "Warm-up steps, or their share below 1. By default %(default)s as in the paper."},
    )
    predict_with_generate: bool = field(
        default=False,
        metadata={
            "help": "Generate at every validation, so that --metric_for_best_model may be a metric of the answers."
        },
    )
    metric_for_best_model: str | None = field(
        default="loss",
        metadata={
            "help": "Metric of the validation rows that chooses the best checkpoint: loss (the default), or with "
            "--predict_with_generate rouge1, bleu, ..."
        },
    )
    load_best_model_at_end: bool = field(
        default=True, metadata={"help": "Whether the result is the best checkpoint (the default) or the last one."}
    )
    eval_strategy: str = field(
        default="epoch", metadata={"help": "When to validate: no, steps or epoch (the default)."}
    )
    save_strategy: str = field(
        default="epoch", metadata={"help": "When to write checkpoints: no, steps or epoch (the default)."}
    )
    save_total_limit: int | None = field(
        default=1, metadata={"help": "Checkpoints to keep beside the best one, by default %(default)s."}
    )
    logging_steps: float = field(
        default=0.05, metadata={"help": "Steps between log entries, or their share below 1. By default %(default)s."}
    )
    remove_unused_columns: bool = field(
        default=False, metadata={"help": "Must be false: the patterns read columns that the model does not know."}
    )
    report_to: str | None = field(
        default="none",
        metadata={"help": "Where Trainer reports metrics, such as tensorboard. By default %(default)s."},
    )


GROUPS = (Seq2SeqDataArguments, Seq2SeqModelArguments, Seq2SeqAnswerArguments)
ParsedArguments = tuple[Seq2SeqDataArguments, Seq2SeqModelArguments, Seq2SeqAnswerArguments, Seq2SeqRunArguments]


def parse_arguments(
    description: str,
    command_line: Sequence[str] | None = None,
    *,
    recipes: Path | None = None,
    embedded: Collection[str] = (),
    published: Collection[str] = (),
) -> ParsedArguments:
    """
    Read the recipe and the command line, which overrides it.

    Args:
        description: Text at the top of `--help`.
        command_line: Words after the name of the program; by default those of this process.
        recipes: Folder of the recipes that `--recipe` finds by name.
        embedded: Names of the tasks that the program brings along. One of them, by default the first, is read with the
            recipe of its name.
        published: Names of the tasks of the originals, for the help.

    Raises:
        ValueError: For an unknown key in a recipe, or a file that is not a recipe.
        FileNotFoundError: If there is no such recipe.
        SystemExit: For arguments that argparse refuses.
    """
    command_line = sys.argv[1:] if command_line is None else command_line
    own = {option.name for group in GROUPS for option in fields(group)} | set(Seq2SeqRunArguments.__annotations__)
    shown = own | {"seed", "max_steps", "bf16", "gradient_accumulation_steps", "push_to_hub", "help"}
    parser = HfArgumentParser(
        (*GROUPS, Seq2SeqRunArguments),  # type: ignore[arg-type]
        description=description,
        usage="%(prog)s [--task NAME --data_dir FOLDER | --train_file FILE --source COLUMN --target COLUMN] [...]",
        epilog="All other arguments of Transformers' Seq2SeqTrainingArguments work too: --fp16, --deepspeed, ...",
        formatter_class=short_formatter(shown),
        allow_abbrev=False,  # the early parser below would miss abbreviations
    )
    names = sorted(path.stem for path in recipes.glob("*.yaml")) if recipes else []
    for action in parser._actions:  # argparse has no public way to change a help
        if action.dest in ("recipe", "task") and action.help:
            lists = {"recipes": names, "embedded": embedded, "published": published}
            action.help = action.help.format(**{key: ", ".join(value) for key, value in lists.items()})
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    early.add_argument("--recipe")
    early.add_argument("--task")
    for option in (
        "--dataset",
        "--dataset_name",
        "--train_file",
        "--validation_file",
        "--test_file",
        "--predict_file",
    ):
        early.add_argument(option, option.replace("_", "-"), dest="data")
    known, _ = early.parse_known_args(command_line)
    # An embedded task has a recipe of its name.
    default = next(iter(embedded), None) if known.data is None else None
    task = known.task or default
    recipe = known.recipe or (task if task in embedded and task in names else None)
    if recipe:
        parser.set_defaults(**read_recipe(recipe, recipes))
    *groups, unknown = parser.parse_args_into_dataclasses(command_line, return_remaining_strings=True)
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}; write names in full, see --help")
    return tuple(groups)  # type: ignore[return-value]


def read_recipe(name: str, recipes: Path | None = None) -> dict[str, Any]:
    """
    Read the arguments that a recipe sets.

    Args:
        name: A YAML file, or the name of one in `recipes`, without its ending.
        recipes: Folder of the recipes.

    Raises:
        FileNotFoundError: If there is no such recipe.
        ValueError: For an unknown key, and a file that is not YAML.
    """
    path, recipe = read_recipe_file(name, recipes)
    if not isinstance(recipe, dict):
        raise ValueError(f"{path} does not hold arguments by their names.")
    allowed = {option.name for kind in (*GROUPS, Seq2SeqRunArguments) for option in fields(kind) if option.init}
    if unknown := sorted(map(str, set(recipe) - allowed)):
        raise ValueError(f"{path} sets unknown arguments: {', '.join(unknown)}. See --help.")
    for key in ("metrics", "target"):
        if isinstance(recipe.get(key), str):
            recipe[key] = [recipe[key]]
    return recipe


__all__ = [
    "Seq2SeqAnswerArguments",
    "Seq2SeqDataArguments",
    "Seq2SeqModelArguments",
    "Seq2SeqRunArguments",
    "parse_arguments",
    "read_recipe",
]

"""Options that commands share, and models from folders or the hub."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast

import typer

from .lines import InputFormat

if TYPE_CHECKING:
    from ..modeling_glm import GLMPreTrainedModel
    from ..tokenization import GLMTokenizer

LoadedModel = TypeVar("LoadedModel", bound="GLMPreTrainedModel")


class Dtype(StrEnum):
    float16 = "float16"
    bfloat16 = "bfloat16"
    float32 = "float32"


class PrecisionName(StrEnum):
    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"
    fp16 = "fp16"
    int8 = "int8"


PRECISIONS_OF_DTYPES = {
    Dtype.float16: PrecisionName.fp16,
    Dtype.bfloat16: PrecisionName.bf16,
    Dtype.float32: PrecisionName.fp32,
}
# Endings of the files in which the originals' checkpoints are published.
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz")

Model = Annotated[str, typer.Argument(metavar="MODEL", help="A folder, or the name of a repository on the hub.")]
Device = Annotated[
    str | None, typer.Option(help="Such as cpu, cuda or cuda:1. Without it: an accelerator if there is one.")
]
WeightsDtype = Annotated[
    Dtype | None,
    typer.Option("--dtype", help="Data type of the weights. Without it: float32 on a CPU, else the checkpoint's."),
]
Precision = Annotated[
    PrecisionName,
    typer.Option(
        help="In which precision to compute. int8 is for CPUs. auto: what this CPU is good at, for the size of the "
        "model; it is printed if it is not fp32. On an accelerator: the checkpoint's."
    ),
]
# What --precision was before.
OldDtype = Annotated[Dtype | None, typer.Option("--dtype", hidden=True)]
Revision = Annotated[str | None, typer.Option(metavar="REF", help="Branch, tag or commit on the hub.")]
InputFile = Annotated[
    Path | None,
    typer.Option("-i", "--input", metavar="FILE", help="Read texts from a file: lines, JSON lines, CSV or TSV."),
]
InputForm = Annotated[
    InputFormat,
    typer.Option(
        "--input-format",
        help="lines: a text per line. jsonl: a JSON object per line. csv, tsv: a table whose first line names its columns. "
        "auto: what the ending of the file or the first line says.",
    ),
]
TextField = Annotated[str, typer.Option(metavar="NAME", help="The field or column that has the text.")]
Truncation = Annotated[
    bool, typer.Option("--truncation", help="Cut texts that are too long around their blanks. Else they are errors.")
]
BatchSize = Annotated[int, typer.Option(min=1, help="Number of texts in a forward pass.")]
Sample = Annotated[bool, typer.Option("--sample", help="Draw answers instead of taking the likeliest ones.")]
Temperature = Annotated[
    float, typer.Option(help="With --sample: below 1 likely tokens are drawn more often, above 1 less often.")
]
Seed = Annotated[int, typer.Option(min=0, help="With --sample: seed of the random numbers.")]


def check_draws(sample: bool, num_beams: int | None = None, **shaping: float | None) -> None:
    """
    Check that --sample goes with the other options, in the words of the command.

    Args:
        sample: Whether answers are drawn.
        num_beams: The number of beams.
        shaping: The options that shape draws, by name; None where they are not given.

    Raises:
        ValueError: For beams with draws, and for options that shape draws without them.
    """
    if sample and (num_beams or 1) > 1:
        raise ValueError(f"--sample and --num-beams {num_beams}: give one of them.")
    for name, value in shaping.items():
        if not sample and value is not None:
            raise ValueError(f"--{name.replace('_', '-')} {value} shapes draws: add --sample, or leave it out.")


def require_converted(name: str) -> None:
    """Raise a `ValueError` for a file, or a folder of the originals' training, in place of a model of Transformers."""
    path = Path(name)
    if not path.exists() or (path / "config.json").is_file():
        return
    if path.is_dir() and not [*path.glob("*.pt"), *path.glob("*/mp_rank_*.pt")]:
        return
    unpack = "unpack it, and then " if path.suffix in ARCHIVES else ""
    raise ValueError(
        f"{name} is not a folder of Transformers. If it is a checkpoint of the original code, {unpack}convert it first: "
        f"modeling-glm convert {'FOLDER' if unpack else name} TARGET."
    )


def read_precision(dtype: Dtype | None, precision: PrecisionName | None = None) -> PrecisionName | None:
    """Return the precision that --dtype or --precision names. Raises a `ValueError` if both do."""
    if dtype is None:
        return precision
    if precision not in (None, PrecisionName.auto):
        raise ValueError(f"--dtype {dtype.value} and --precision {precision}: give one of them.")
    return PRECISIONS_OF_DTYPES[dtype]


def load(
    model_class: type[LoadedModel],
    name: str,
    device: str | None,
    precision: PrecisionName | None,
    revision: str | None,
) -> "tuple[LoadedModel, GLMTokenizer]":
    """
    Load a model in eval mode, and its tokenizer.

    The default device is an accelerator if there is one. Without a precision, that of the checkpoint is used on an accelerator,
    and fp32 on a CPU. What auto chooses on a CPU is printed to standard error, if it is not fp32.

    Raises:
        OSError: If the folder or repository does not exist.
        ValueError: If the device does not exist, if the folder is a checkpoint that must be converted first, and for a
            precision that does not work on the device.
    """
    import torch

    from ..precision.choosing import DTYPES, choose_precision, set_precision
    from ..tokenization import GLMTokenizer

    require_converted(name)
    if device is None:
        found = torch.accelerator.current_accelerator(check_available=True)
        device = "cpu" if found is None else found.type
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"--device {device}: {str(error).splitlines()[0]}") from None
    on_cpu = torch.device(device).type == "cpu"
    if precision is PrecisionName.int8 and not on_cpu:
        raise ValueError(
            f"--precision int8 works on CPUs only, but the device is {device}: add --device cpu, or use fp16."
        )
    wanted: Any = DTYPES.get(precision or "", "float32" if on_cpu else "auto")
    try:
        model: Any = model_class.from_pretrained(name, revision=revision or "main", dtype=wanted)
    except OSError as error:
        raise OSError(f"Cannot load a model from {name}: {error}") from error
    tokenizer = GLMTokenizer.from_pretrained(name, revision=revision or "main")
    model = model.to(device).eval()
    if precision is PrecisionName.auto and on_cpu:
        choice = choose_precision(model)
        if choice.name != "fp32":
            print(
                f"precision: {choice.name}, because {choice.reason}. --precision fp32 turns this off.", file=sys.stderr
            )
        set_precision(model, choice.name)
    elif precision is PrecisionName.int8:
        set_precision(model, "int8")
    return cast(LoadedModel, model), tokenizer

"""Read what the commands work on: texts from arguments or standard input, models from folders or the hub."""

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Annotated, Any, TypeVar, cast

import torch
import typer

from ..modeling_glm import GLMPreTrainedModel
from ..tokenization import GLMTokenizer

LoadedModel = TypeVar("LoadedModel", bound=GLMPreTrainedModel)


class Dtype(StrEnum):
    float16 = "float16"
    bfloat16 = "bfloat16"
    float32 = "float32"


Model = Annotated[str, typer.Argument(metavar="MODEL", help="A folder, or the name of a repository on the hub.")]
Device = Annotated[
    str | None, typer.Option(help="Such as cpu, cuda or cuda:1. Without it: an accelerator if there is one.")
]
WeightsDtype = Annotated[
    Dtype | None,
    typer.Option("--dtype", help="Data type of the weights. Without it: float32 on a CPU, else the checkpoint's."),
]
Revision = Annotated[str | None, typer.Option(metavar="REF", help="Branch, tag or commit on the hub.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Number of texts in a forward pass.")]
Sample = Annotated[bool, typer.Option("--sample", help="Draw answers instead of taking the likeliest ones.")]
Temperature = Annotated[
    float, typer.Option(help="With --sample: below 1 likely tokens are drawn more often, above 1 less often.")
]
Seed = Annotated[int, typer.Option(min=0, help="With --sample: seed of the random numbers.")]


@dataclass(frozen=True)
class Line:
    """
    Hold one text to work on.

    Attributes:
        text: The text.
        fields: The other fields of its JSON object.
        place: Where the text comes from, for messages: "line 3".
    """

    text: str
    fields: dict[str, Any]
    place: str


def read_lines(arguments: list[str], names: Iterable[str] = ()) -> Iterator[Line]:
    """
    Read texts from the arguments, or from standard input if there are none or only "-".

    Standard input has one text per line and is read as it comes. A line that begins with { is a JSON object with "text"
    and any of the fields `names`.

    Raises:
        ValueError: If standard input is a terminal or empty, or if a line is not UTF-8 or not such an object.
    """
    if arguments and arguments != ["-"]:
        yield from (Line(text, {}, f"text {number}") for number, text in enumerate(arguments, start=1))
        return
    if not arguments and sys.stdin.isatty():
        raise ValueError("There is no text: give texts as arguments, or - to type lines on standard input.")
    found = False
    for number, raw in enumerate(sys.stdin.buffer, start=1):
        place = f"line {number}"
        try:
            text = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise ValueError(f"{place} of standard input is not UTF-8: {error}.") from None
        if text.strip():
            found = True
            yield _parse(text, place, {"text", *names}) if text.lstrip().startswith("{") else Line(text, {}, place)
    if not found:
        raise ValueError("Standard input is empty: expected a text on each line.")


def _parse(text: str, place: str, known: set[str]) -> Line:
    try:
        fields = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{place} of standard input begins with {{ but is not a JSON object: {error}.") from None
    if not isinstance(fields.get("text"), str):
        raise ValueError(f'{place} of standard input has no "text": expected {{"text": "...", ...}}.')
    if unknown := sorted(set(fields) - known):
        raise ValueError(f"{place} of standard input has {unknown[0]!r}: expected {', '.join(sorted(known))}.")
    return Line(fields.pop("text"), fields, place)


def in_chunks(lines: Iterator[Line], size: int) -> Iterator[list[Line]]:
    """Take `size` lines at a time."""
    while chunk := list(islice(lines, size)):
        yield chunk


def load(
    model_class: type[LoadedModel], name: str, device: str | None, dtype: Dtype | None, revision: str | None
) -> tuple[LoadedModel, GLMTokenizer]:
    """
    Load a model in eval mode, and its tokenizer.

    The default device is an accelerator if there is one. The default data type is that of the checkpoint on an
    accelerator and float32 on a CPU, where it is faster.

    Raises:
        OSError: If the folder or repository does not exist.
        ValueError: If the device does not exist.
    """
    if device is None:
        found = torch.accelerator.current_accelerator(check_available=True)
        device = "cpu" if found is None else found.type
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"--device {device}: {str(error).splitlines()[0]}") from None
    wanted = dtype.value if dtype else ("float32" if device == "cpu" else "auto")
    try:
        model: Any = model_class.from_pretrained(name, revision=revision or "main", dtype=wanted)
    except OSError as error:
        raise OSError(f"Cannot load a model from {name}: {error}") from error
    tokenizer = GLMTokenizer.from_pretrained(name, revision=revision or "main")
    return cast(LoadedModel, model.to(device).eval()), tokenizer

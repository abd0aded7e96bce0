"""What the commands read: texts from arguments or standard input, models from folders or the hub."""

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Annotated, Any

import torch
import typer

from ..modeling_glm import GLMPreTrainedModel
from ..tokenization import GLMTokenizer


class Dtype(StrEnum):
    float16 = "float16"
    bfloat16 = "bfloat16"
    float32 = "float32"


Model = Annotated[str, typer.Argument(metavar="MODEL", help="A folder, or the name of a repository of the hub.")]
Device = Annotated[
    str | None, typer.Option(help="Such as cpu, cuda or cuda:1. Without it: an accelerator if there is one.")
]
OfWeights = Annotated[
    Dtype | None, typer.Option("--dtype", help="Of the weights. Without it: float32 on a CPU, else the checkpoint's.")
]
Revision = Annotated[str | None, typer.Option(metavar="REF", help="Branch, tag or commit on the hub.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Texts of a forward pass.")]


@dataclass(frozen=True)
class Line:
    """
    One text to work on.

    Attributes:
        text: The text.
        fields: What else stood in its JSON object.
        place: Where it comes from, for messages.
    """

    text: str
    fields: dict[str, Any]
    place: str


def read_lines(arguments: list[str], names: Iterable[str] = ()) -> Iterator[Line]:
    """
    The texts that are arguments; or where there are none, or only "-", those of standard input, one on each line, as they
    come. A line that begins with { is a JSON object with "text" and any of `names`.

    Raises:
        ValueError: for standard input that is a terminal, lines that are no UTF-8 or no such object, and no text at all.
    """
    if arguments and arguments != ["-"]:
        yield from (Line(text, {}, f"text {number}") for number, text in enumerate(arguments, start=1))
        return
    if not arguments and sys.stdin.isatty():
        raise ValueError(
            "No text: give texts as arguments, or lines on standard input (- reads them from the terminal)."
        )
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
        raise ValueError(f"{place} of standard input begins with {{ but is no JSON object: {error}.") from None
    if not isinstance(fields.get("text"), str):
        raise ValueError(f'{place} of standard input has no "text": expected {{"text": "...", ...}}.')
    if unknown := sorted(set(fields) - known):
        raise ValueError(f"{place} of standard input has {unknown[0]!r}: expected {', '.join(sorted(known))}.")
    return Line(fields.pop("text"), fields, place)


def in_chunks(lines: Iterator[Line], size: int) -> Iterator[list[Line]]:
    """The lines, so many at a time."""
    while chunk := list(islice(lines, size)):
        yield chunk


def load(
    model_class: type[GLMPreTrainedModel], name: str, device: str | None, dtype: Dtype | None, revision: str | None
) -> tuple[Any, GLMTokenizer]:
    """
    A model in evaluation mode, and its tokenizer. By default on the accelerator where there is one; with the dtype of
    the checkpoint there and in float32 on a CPU, which is faster.

    Raises:
        OSError: for a folder or repository that is not there.
        ValueError: for a device that is not there.
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
        raise OSError(f"No model {name} could be loaded: {error}") from error
    return model.to(device).eval(), GLMTokenizer.from_pretrained(name, revision=revision or "main")

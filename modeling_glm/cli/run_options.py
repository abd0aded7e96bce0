"""The options that all measures of `modeling-glm evaluate` share, declared once."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from .inputs import Device, InputForm, Revision, TextField, WeightsDtype
from .lines import InputFormat
from .outputs import Format, Output

SkipErrors = Annotated[
    bool,
    typer.Option("--skip-errors", help="Leave bad lines out and report them. Without it: the first one is an error."),
]
ReportFile = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        metavar="FILE",
        help="Write the report to a JSON file, too. FILE.partial keeps the results so far: run the same command again "
        "to resume an interrupted one.",
    ),
]
DetailsFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write a JSON line for every example: its scores or its answers.")
]


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Hold the options that all measures share: what is read, what is written, and how the model is loaded."""

    text_field: TextField = "text"
    input_format: InputForm = InputFormat.auto
    skip_errors: SkipErrors = False
    output: ReportFile = None
    details: DetailsFile = None
    format: Format = Output.auto
    device: Device = None
    dtype: WeightsDtype = None
    revision: Revision = None


def with_options(name: str, without: Collection[str] = ()) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """
    Give a command the options of `RunOptions`, which it receives as one argument. Typer reads them from its signature.

    Args:
        name: The argument.
        without: The options that the command does not have.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(RunOptions, include_extras=True)
        shared = [
            Parameter(one.name, Parameter.KEYWORD_ONLY, default=one.default, annotation=hints[one.name])
            for one in fields(RunOptions)
            if one.name not in without
        ]
        own = [one for one in signature(command).parameters.values() if one.name != name]

        @wraps(command)
        def call(**given: Any) -> None:
            options = RunOptions(**{one.name: given.pop(one.name) for one in shared})
            command(**{name: options}, **given)

        call.__signature__ = signature(command).replace(parameters=[*own, *shared])  # type: ignore[attr-defined]
        call.__annotations__ = {one.name: one.annotation for one in (*own, *shared)}
        return call

    return decorate


__all__ = ["RunOptions", "with_options"]

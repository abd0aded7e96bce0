"""The command that exports models: export."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ..export.save import export_model
from .inputs import Model, Revision, require_converted
from .outputs import in_units


class ExportFormat(StrEnum):
    onnx = "onnx"
    torch = "torch"


class Quantization(StrEnum):
    int8 = "int8"


def export(
    model: Model,
    target: Annotated[
        Path, typer.Argument(metavar="TARGET", help="The folder to make. It appears whole or not at all.")
    ],
    format: Annotated[
        ExportFormat, typer.Option(help="onnx: for ONNX Runtime and others. torch: a program of torch.export.")
    ] = ExportFormat.onnx,
    quantize: Annotated[
        Quantization | None, typer.Option(help="Store the matrices as int8. Without it: float32.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing target.")] = False,
    revision: Revision = None,
):
    """
    Export a model to ONNX, with its tokenizer, for any batch size and length.

    `ORTFiller` fills, scores and chooses with the folder of a language model, without torch.

    Examples:

        modeling-glm export examples/glm-tiny glm-onnx

        modeling-glm export examples/glm-tiny glm-int8 --quantize int8
    """
    require_converted(model)
    try:
        done = export_model(
            model,
            target,
            format=format.value,
            quantize=None if quantize is None else quantize.value,
            overwrite=overwrite,
            revision=revision,
        )
    except ImportError as error:
        raise ValueError(str(error)) from error
    print(f"{done.target}: {done.model_class} as {format.value}, {in_units(done.num_bytes)}")
    if done.fills:
        print(f'fill with it: ORTFiller("{done.target}").fill("a text with a [MASK]")')

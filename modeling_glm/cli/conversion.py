"""The commands that write a model in another form: convert and export."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from .inputs import Dtype, Model, Revision, require_converted
from .outputs import in_units

# The keys of `PRESETS`, which help shows without importing the config.
PRESET_NAMES = (
    *("glm-base", "glm-large", "glm-doc", "glm-410m", "glm-515m"),
    *("glm-roberta-large", "glm-large-chinese", "glm-2b", "glm-10b", "glm-10b-chinese"),
)


class HeadName(StrEnum):
    blank_infilling = "blank-infilling"
    classification = "classification"


def convert(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A file (.pt, .bin, .safetensors, or the index of several), a folder of mp_rank_XX_model_states.pt or "
            "its parent, a folder from the hub or from fine-tuning, or the name of a hub repository.",
        ),
    ],
    target: Annotated[
        Path, typer.Argument(metavar="TARGET", help="The folder to make. It appears whole or not at all.")
    ],
    config: Annotated[
        Path | None,
        typer.Option(
            help="A config.json, ours or an original one. Without it or --preset: the config of the source, or one that "
            "follows from the shapes of the tensors."
        ),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(metavar="NAME", help=f"A published size: {', '.join(PRESET_NAMES)}.")
    ] = None,
    vocab: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder with a tokenizer.json, or with the originals' vocab.json and merges.txt, vocab.txt or "
            "cog-pretrain.model. Without it: the tokenizer of the source, if it has one.",
        ),
    ] = None,
    head: Annotated[
        HeadName | None,
        typer.Option(help="Which head to keep. Without it: the head that the config.json of the source names."),
    ] = None,
    dtype: Annotated[
        Dtype | None, typer.Option(help="Data type of the weights. Without it: that of the source.")
    ] = None,
    shards: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Convert back: write the authors' layout with N model-parallel shards."),
    ] = None,
    max_shard_size: Annotated[str, typer.Option(metavar="SIZE", help="Size of the largest weights file.")] = "5GB",
    shared_gmask: Annotated[
        bool | None,
        typer.Option(
            help="Whether [gMASK] also ends a piece, as it did when GLM-10B-Chinese was trained. Without it: what config, "
            "vocabulary and, at that size, the weights show."
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Compare the logits of source and target. Loads one after the other.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing target.")] = False,
    license: Annotated[
        str | None, typer.Option(metavar="NAME", help="License for the model card, such as mit.")
    ] = None,
    revision: Revision = None,
):
    """
    Convert a checkpoint of the authors, from the hub or from fine-tuning into a folder that Transformers loads.

    No code in the files is run, and only a few tensors are in memory at a time.

    Examples:

        modeling-glm convert THUDM/glm-2b glm-2b

        modeling-glm convert glm-10b-1024 glm-10b --vocab gpt2

        modeling-glm convert glm-10b glm-10b-MP4 --shards 4
    """
    import torch

    from ..checkpoints.convert import convert_checkpoint

    done = convert_checkpoint(
        source,
        target,
        config=config,
        preset=preset,
        vocabulary=vocab,
        head=None if head is None else head.value,
        dtype=None if dtype is None else getattr(torch, dtype.value),
        shards=shards,
        max_shard_size=max_shard_size,
        shared_gmask=shared_gmask,
        check=check,
        overwrite=overwrite,
        license=license,
        revision=revision,
    )
    size = done.config
    print(
        f"{done.target}: {done.num_tensors} tensors, {done.num_bytes / 1e6:,.1f} MB, {done.model_class.__name__} with "
        f"{size.num_hidden_layers} layers of width {size.hidden_size} and {size.num_attention_heads} heads"
    )
    if done.left_out:
        print(f"left out: {', '.join(done.left_out)}")
    if done.difference is not None:
        print(f"logits of source and target differ by at most {done.difference:.3g}")
    if shards is None and not done.has_tokenizer:
        print("The source has no vocabulary, so the target has no tokenizer. Add one with --vocab FOLDER.")
    if size.sop_token_id is None:
        print("The ids of the special tokens are unknown. Fill them in config.json, or convert with --vocab.")


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
    from ..export.save import export_model

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
    elif not done.has_tokenizer:
        print(f"{model} has no tokenizer, so none is in the folder.", file=sys.stderr)

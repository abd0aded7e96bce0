"""The command `modeling-glm`."""

import os
import signal
import sys
import warnings
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import torch
import typer
from transformers.utils.logging import disable_progress_bar

from ..checkpoints.convert import convert_checkpoint
from ..configuration_glm import PRESETS
from .filling import choose, fill
from .folders import card, info
from .generation import demo, generate
from .inputs import Dtype, Revision

app = typer.Typer(
    name="modeling-glm",
    help="GLM (autoregressive blank infilling, ACL 2022) for Hugging Face Transformers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # in the other one [MASK] would be a style, and vanish
)


class Head(StrEnum):
    blank_infilling = "blank-infilling"
    classification = "classification"


@app.callback()
def _commands():
    """GLM (autoregressive blank infilling, ACL 2022) for Hugging Face Transformers."""


@app.command()
def convert(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A file (.pt, .bin, .safetensors, or the index of several), a folder of mp_rank_XX_model_states.pt or "
            "the one above it, a folder of the hub or from fine-tuning, or the name of a hub repository.",
        ),
    ],
    target: Annotated[
        Path, typer.Argument(metavar="TARGET", help="The folder to make. It appears whole or not at all.")
    ],
    config: Annotated[
        Path | None,
        typer.Option(
            help="A config.json, ours or an original one. Without it or a preset: the source's own, or what the shapes of "
            "the tensors tell."
        ),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(metavar="NAME", help=f"A published size: {', '.join(PRESETS)}.")
    ] = None,
    vocab: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder with a tokenizer.json, or with the originals' vocab.json and merges.txt, vocab.txt or "
            "cog-pretrain.model. Without it: the source's own, or no tokenizer.",
        ),
    ] = None,
    head: Annotated[
        Head | None,
        typer.Option(help="Keep the head of a classifier, or none. Without it: what the source's config.json names."),
    ] = None,
    dtype: Annotated[Dtype | None, typer.Option(help="Of the weights. Without it: that of the source.")] = None,
    shards: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Split back: write the authors' layout instead, in N model-parallel shards."
        ),
    ] = None,
    max_shard_size: Annotated[str, typer.Option(metavar="SIZE", help="Largest file of weights.")] = "5GB",
    shared_gmask: Annotated[
        bool | None,
        typer.Option(
            help="Whether [gMASK] is the end of a piece as well, as in GLM-10B-Chinese when it was trained. Without it: what "
            "config, vocabulary and, at that size, the weights tell."
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Compare the logits of source and target; loads one after the other.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a target that exists.")] = False,
    license: Annotated[str | None, typer.Option(metavar="NAME", help="For the model card, such as mit.")] = None,
    revision: Revision = None,
):
    """
    Convert a checkpoint of the authors, of the hub or from fine-tuning into a folder that Transformers loads.

    Nothing that a file holds is run, and few of its tensors are in memory at a time.

    Examples:

        modeling-glm convert THUDM/glm-2b glm-2b

        modeling-glm convert glm-10b-1024 glm-10b --vocab gpt2

        modeling-glm convert glm-10b glm-10b-MP4 --shards 4
    """
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
        print("There was no vocabulary, so there is no tokenizer: only weights and config. --vocab FOLDER adds it.")
    if size.sop_token_id is None:
        print("The ids of the special tokens are not known: fill them in config.json, or convert with --vocab.")


for command in (fill, choose, generate, card, info, demo):
    app.command()(command)


def main():
    """Runs the command. What the user can mend ends it with one line and exit code 1, an interruption with 130."""
    if not sys.stderr.isatty():
        disable_progress_bar()
    # As an interruption does, so that what was begun is cleaned away.
    for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as it is under nohup
            signal.signal(number, lambda number, _: sys.exit(128 + number))
    warnings.showwarning = lambda message, *_, **__: print(f"warning: {message}", file=sys.stderr)
    try:
        app(prog_name="modeling-glm")
    except BrokenPipeError:  # who reads has enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()

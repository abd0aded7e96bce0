"""The commands about a model as a whole: info and card."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ..configuration_glm import GLMConfig
from ..hub.card import count_parameters, create_model_card, write_model_card
from ..tokenization import GLMTokenizer
from .inputs import Model, Revision
from .outputs import Format, Output, in_units, print_json, show_table


def info(model: Model, output: Format = Output.auto, revision: Revision = None):
    """
    Tell what a model is: its size, memory in each precision, vocabulary and blanks. Weights are not read.

    Example:

        modeling-glm info examples/glm-tiny
    """
    config, tokenizer = _read(model, revision)
    parameters = count_parameters(config)
    facts: dict[str, Any] = {
        "model": model,
        "architectures": config.architectures or [],
        "parameters": parameters,
        "layers": config.num_hidden_layers,
        "hidden_size": config.hidden_size,
        "attention_heads": config.num_attention_heads,
        "longest_text": config.max_context_length,
        "longest_answer": config.max_piece_length - 1,
        "vocabulary": config.vocab_size,
        "tokens": None if tokenizer is None else len(tokenizer),
        "blanks": None if tokenizer is None else tokenizer.convert_ids_to_tokens(tokenizer.mask_token_ids),
        "bytes": {name: parameters * size for name, size in (("float32", 4), ("bfloat16", 2), ("float16", 2))},
    }
    if not output.is_for_people:
        print_json(facts)
        return
    shown = {**facts, "parameters": f"{parameters:,}"}
    shown["bytes"] = ", ".join(f"{name} {in_units(size)}" for name, size in facts["bytes"].items())
    shown = {name: ", ".join(value) if isinstance(value, list) else value for name, value in shown.items()}
    rows = [
        [name.replace("_", " "), "unknown: no vocabulary" if value is None else str(value)]
        for name, value in shown.items()
    ]
    show_table(None, rows)


def card(
    model: Model,
    write: Annotated[
        bool,
        typer.Option(
            "--write",
            help="Write it to README.md in the folder MODEL, merged with the card that is there. Without it: print it.",
        ),
    ] = False,
    license: Annotated[str | None, typer.Option(metavar="NAME", help="Such as mit.")] = None,
    language: Annotated[list[str] | None, typer.Option(metavar="CODE", help="Such as en; several times.")] = None,
    base_model: Annotated[str | None, typer.Option(metavar="NAME", help="What it was made from.")] = None,
    dataset: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="What it was trained on; several times.")
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(metavar="TAG", help="A further tag; several times.")] = None,
    revision: Revision = None,
):
    """
    Write a model card: metadata for the hub, code to use the model, its limits and how to cite it.

    What people wrote in a card stays, only the parts that were generated before are renewed.

    Examples:

        modeling-glm card examples/glm-tiny

        modeling-glm card my-model --write --license mit --language en --dataset wikipedia
    """
    config, tokenizer = _read(model, revision)
    details: dict[str, Any] = {
        "license": license,
        "language": language or None,
        "base_model": base_model,
        "datasets": dataset or None,
        "tags": tag or None,
    }
    if not write:
        print(create_model_card(config, tokenizer, model_id=model, **details))
        return
    if not Path(model).is_dir():
        raise ValueError(f"--write needs a folder, and {model} is none: leave it out to print the card.")
    print(write_model_card(model, config, tokenizer, **details))


def _read(model: str, revision: str | None) -> tuple[GLMConfig, GLMTokenizer | None]:
    """The config, and the tokenizer where there is one."""
    try:
        config = GLMConfig.from_pretrained(model, revision=revision or "main")
    except OSError as error:
        raise OSError(f"No model {model} could be read: {error}") from error
    try:
        return config, GLMTokenizer.from_pretrained(model, revision=revision or "main")
    except OSError:
        return config, None

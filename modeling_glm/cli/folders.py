"""The commands that describe a model: info and card."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .inputs import Model, Revision, require_converted
from .outputs import Format, Output, in_units, print_json, show_table

if TYPE_CHECKING:
    from ..configuration_glm import GLMConfig
    from ..tokenization import GLMTokenizer


def info(model: Model, output: Format = Output.auto, revision: Revision = None):
    """
    Describe a model: its size, memory in each precision, vocabulary and blanks. Does not load the weights.

    Example:

        modeling-glm info examples/glm-tiny
    """
    from ..hub.card import count_parameters

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
            help="Write the card to README.md in the folder MODEL, merged with the existing card. Without it: print it.",
        ),
    ] = False,
    license: Annotated[str | None, typer.Option(metavar="NAME", help="License of the model, such as mit.")] = None,
    language: Annotated[
        list[str] | None, typer.Option(metavar="CODE", help="Language, such as en. Repeat the option for more.")
    ] = None,
    base_model: Annotated[
        str | None, typer.Option(metavar="NAME", help="Model that this one was trained from.")
    ] = None,
    dataset: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Training data. Repeat the option for more.")
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option(metavar="TAG", help="A further tag. Repeat the option for more.")
    ] = None,
    revision: Revision = None,
):
    """
    Print or write a model card: metadata for the hub, code that uses the model, its limits and how to cite it.

    In an existing card, only the parts that this command wrote are replaced.

    Examples:

        modeling-glm card examples/glm-tiny

        modeling-glm card my-model --write --license mit --language en --dataset wikipedia
    """
    from ..hub.card import create_model_card, write_model_card

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
        raise ValueError(f"--write needs a folder, but {model} is not one: leave --write out to print the card.")
    print(write_model_card(model, config, tokenizer, **details))


def _read(model: str, revision: str | None) -> "tuple[GLMConfig, GLMTokenizer | None]":
    """Read the config and, if there is one, the tokenizer."""
    from ..configuration_glm import GLMConfig
    from ..tokenization import GLMTokenizer

    require_converted(model)
    if Path(model).is_dir() and not (Path(model) / "config.json").is_file():  # the library would take its defaults
        raise OSError(f"Cannot read a model from {model}: the folder has no config.json.")
    try:
        config = GLMConfig.from_pretrained(model, revision=revision or "main")
    except OSError as error:
        raise OSError(f"Cannot read a model from {model}: {error}") from error
    try:
        return config, GLMTokenizer.from_pretrained(model, revision=revision or "main")
    except OSError:
        return config, None

"""The commands that use a model: fill, choose and info."""

import json
import math
import sys
from enum import StrEnum
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .blank_constraints import BlankConstraint
from .cli_inputs import Line, in_chunks, load, read_lines
from .configuration_glm import GLMConfig
from .filling import fill_blanks
from .fillings import Filling, with_space
from .infilling_pipeline import as_dict
from .model_card import count_parameters
from .modeling_glm import GLMForConditionalGeneration, GLMForMultipleChoice
from .tokenization import GLMTokenizer


class Order(StrEnum):
    left_to_right = "left-to-right"
    confident_first = "confident-first"


class Output(StrEnum):
    auto = "auto"
    text = "text"
    jsonl = "jsonl"


Model = Annotated[str, typer.Argument(metavar="MODEL", help="A folder, or the name of a repository of the hub.")]
Device = Annotated[
    str | None, typer.Option(help="Such as cpu, cuda or cuda:1. Without it: an accelerator if there is one.")
]
DtypeName = Annotated[
    str | None,
    typer.Option("--dtype", help="float32, bfloat16 or float16. Without it: float32 on a CPU, else the checkpoint's."),
]
Revision = Annotated[str | None, typer.Option(metavar="REF", help="Branch, tag or commit on the hub.")]
Format = Annotated[
    Output,
    typer.Option("--format", help="jsonl: one object for each text; auto: text on a terminal, jsonl in a pipe."),
]
BatchSize = Annotated[int, typer.Option(min=1, help="Texts of a forward pass.")]
OF_CONSTRAINTS = ("choices", "regex", "min_new_tokens", "max_new_tokens", "forbidden_words", "answer")


def fill(
    model: Model,
    texts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TEXT]...",
            help="Texts with blanks. Without any, or with -: lines of standard input, each a text or a JSON object "
            '{"text": ..., "constraints": [{"regex": ...}, null, ...]} with a constraint for every blank.',
        ),
    ] = None,
    num_answers: Annotated[
        int, typer.Option("-n", "--num-answers", min=1, help="Fillings of a text, best first.")
    ] = 1,
    choice: Annotated[
        list[str] | None, typer.Option(help="An answer that a blank may have; give it several times.")
    ] = None,
    regex: Annotated[str | None, typer.Option(help="What every answer must match, such as '[0-9]{4}'.")] = None,
    forbid: Annotated[list[str] | None, typer.Option(metavar="WORD", help="A word that no answer may have.")] = None,
    max_new_tokens: Annotated[int | None, typer.Option(min=1, help="Longest answer of a blank, in tokens.")] = None,
    order: Annotated[Order, typer.Option(help="In which order the blanks are filled.")] = Order.left_to_right,
    sample: Annotated[bool, typer.Option("--sample", help="Draw answers instead of the most likely ones.")] = False,
    temperature: Annotated[float, typer.Option(help="Of the draws.")] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws.")] = 0,
    batch_size: BatchSize = 32,
    output: Format = Output.auto,
    device: Device = None,
    dtype: DtypeName = None,
    revision: Revision = None,
):
    """
    Fill the blanks of texts, with the probability of every answer.

    Examples:

        modeling-glm fill examples/glm-tiny "The time 19:20 has the hour [MASK] and the minute [MASK]."

        modeling-glm fill my-model -n 5 --regex "(19|20)[0-9]{2}" "The bridge was built in [MASK]."

        modeling-glm fill my-model < texts.jsonl > filled.jsonl
    """
    for_all = BlankConstraint(
        choices=choice or None, regex=regex, forbidden_words=forbid or (), max_new_tokens=max_new_tokens
    )
    lines = read_lines(texts or [], ["constraints"])
    loaded, tokenizer = load(GLMForConditionalGeneration, model, device, dtype, revision)
    number = 0
    for chunk in in_chunks(lines, batch_size):
        found = fill_blanks(
            loaded,
            tokenizer,
            [line.text for line in chunk],
            num_answers,
            constraints=[_constraints(line, tokenizer, for_all) for line in chunk],
            order=order.value,
            do_sample=sample,
            temperature=temperature,
            seed=seed,
            batch_size=batch_size,
            first_number=number,
        )
        number += len(chunk)
        for line, fillings in zip(chunk, found, strict=True):
            if _is_for_people(output):
                _show_fillings(fillings)
            else:
                _print_json({"text": line.text, "fillings": [as_dict(filling) for filling in fillings]})


def choose(
    model: Model,
    text: Annotated[
        str | None,
        typer.Argument(
            metavar="[TEXT]",
            help='A text with one blank. Without it: lines of standard input {"text": ..., "choices": [...]}.',
        ),
    ] = None,
    choices: Annotated[list[str] | None, typer.Argument(metavar="[CHOICE]...", help="What may fill it.")] = None,
    batch_size: BatchSize = 32,
    output: Format = Output.auto,
    device: Device = None,
    dtype: DtypeName = None,
    revision: Revision = None,
):
    """
    Choose among answers for the blank of a text: how probable each is beside the others.

    Example:

        modeling-glm choose examples/glm-tiny "HTTP status 404 is Not Found, a [MASK]." "client error" "server error"
    """
    if text is None or text == "-":
        lines = read_lines(["-"], ["choices"])
    elif choices:
        lines = iter([Line(text, {"choices": choices}, "text 1")])
    else:
        raise ValueError("There are no choices: give them behind the text.")
    loaded, tokenizer = load(GLMForMultipleChoice, model, device, dtype, revision)
    for chunk in in_chunks(lines, batch_size):
        options = [_choices(line) for line in chunk]
        spaced = [
            [with_space(tokenizer.split_at_blanks(line.text)[0], choice) for choice in row]
            for line, row in zip(chunk, options, strict=True)
        ]
        inputs = tokenizer([line.text for line in chunk], return_tensors="pt", padding=True)
        try:
            inputs = tokenizer.build_inputs_for_multiple_choice(inputs, spaced)
        except ValueError as error:
            raise ValueError(f"{chunk[0].place} to {chunk[-1].place}: {error}") from None
        with torch.inference_mode():
            logits = loaded(**inputs.to(loaded.device)).logits.float().cpu()
        for line, row, scores in zip(chunk, options, logits, strict=True):
            scores = scores[: len(row)]
            shares = scores.softmax(-1).tolist()
            ranked = sorted(zip(row, shares, scores.tolist(), strict=True), key=lambda entry: -entry[1])
            if _is_for_people(output):
                _show_table(["choice", "probability"], [[name, f"{share:.1%}"] for name, share, _ in ranked])
            else:
                told = [{"choice": name, "score": share, "log_prob": log_prob} for name, share, log_prob in ranked]
                _print_json({"text": line.text, "choices": told})


def info(model: Model, output: Format = Output.auto, revision: Revision = None):
    """
    Tell what a model is: its size, memory in each precision, vocabulary and blanks. Weights are not read.

    Example:

        modeling-glm info examples/glm-tiny
    """
    config = GLMConfig.from_pretrained(model, revision=revision or "main")
    try:
        tokenizer = GLMTokenizer.from_pretrained(model, revision=revision or "main")
    except OSError:
        tokenizer = None
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
    if not _is_for_people(output):
        _print_json(facts)
        return
    shown = {**facts, "parameters": f"{parameters:,}"}
    shown["bytes"] = ", ".join(f"{name} {_in_units(size)}" for name, size in facts["bytes"].items())
    shown = {name: ", ".join(value) if isinstance(value, list) else value for name, value in shown.items()}
    rows = [
        [name.replace("_", " "), "unknown: no vocabulary" if value is None else str(value)]
        for name, value in shown.items()
    ]
    _show_table(None, rows)


def _constraints(line: Line, tokenizer: GLMTokenizer, for_all: BlankConstraint) -> list[BlankConstraint | None]:
    blanks = len(tokenizer.split_at_blanks(line.text)) - 1
    if blanks == 0:
        raise ValueError(f"{line.place} has no blank to fill, such as [MASK]: {line.text!r}.")
    given = line.fields.get("constraints")
    if given is None:
        return [for_all] * blanks
    try:
        if not isinstance(given, list) or len(given) != blanks:
            raise ValueError(f"expected a list with an object or null for each of the {blanks} blanks")
        return [None if entry is None else _constraint(entry) for entry in given]
    except (TypeError, ValueError) as error:
        raise ValueError(f'{line.place}: "constraints" is {given!r}: {error}') from None


def _constraint(entry: Any) -> BlankConstraint:
    if not isinstance(entry, dict) or (unknown := sorted(set(entry) - set(OF_CONSTRAINTS))):
        wrong = unknown[0] if isinstance(entry, dict) else entry
        raise ValueError(f"{wrong!r} is none of {', '.join(OF_CONSTRAINTS)}")
    return BlankConstraint(**entry)


def _choices(line: Line) -> list[str]:
    choices = line.fields.get("choices")
    if not isinstance(choices, list) or not choices or not all(isinstance(choice, str) for choice in choices):
        raise ValueError(f'{line.place}: "choices" is {choices!r}: expected a list of texts.')
    return choices


def _is_for_people(output: Output) -> bool:
    return output is Output.text or (output is Output.auto and sys.stdout.isatty())


def _print_json(value: dict[str, Any]):
    print(json.dumps(value, ensure_ascii=False), flush=True)


def _show_fillings(fillings: list[Filling]):
    """Each on a line: its probability, and the text with the answers marked; colours only on a terminal."""
    console = Console(highlight=False, soft_wrap=True)
    for filling in fillings:
        shown = Text(f"{math.exp(filling.log_prob):6.1%}  ", style="dim")
        body = Text(filling.text, style="default")
        for answer in filling.answers:
            body.stylize("bold green" if not answer.given else "bold", answer.start, answer.end)
        console.print(shown.append_text(body))
    if len(fillings) != 1:
        console.print()


def _show_table(header: list[str] | None, rows: list[list[str]]):
    table = Table(*(header or ["", ""]), box=None, show_header=header is not None)
    for row in rows:
        table.add_row(*map(Text, row))
    Console(highlight=False).print(table)


def _in_units(size: float) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"

"""The commands that fill blanks: fill and choose."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from ..filling.choose import choose
from ..filling.constraints import BlankConstraint
from ..filling.fill import fill_blanks
from ..modeling_glm import GLMForConditionalGeneration, GLMForMultipleChoice
from ..tokenization import GLMTokenizer
from .inputs import (
    BatchSize,
    Device,
    Line,
    Model,
    Revision,
    Sample,
    Seed,
    Temperature,
    WeightsDtype,
    in_chunks,
    load,
    read_lines,
)
from .outputs import Format, Output, print_choices, print_fillings


class OrderName(StrEnum):
    left_to_right = "left-to-right"
    confident_first = "confident-first"


CONSTRAINT_FIELDS = ("choices", "regex", "min_new_tokens", "max_new_tokens", "forbidden_words", "answer")


def fill(
    model: Model,
    texts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TEXT]...",
            help="Texts with blanks. Without any, or with -, texts come from standard input, one per line. A line may be a "
            'JSON object {"text": ..., "constraints": [{"regex": ...}, null, ...]} with a constraint for every blank.',
        ),
    ] = None,
    num_answers: Annotated[
        int, typer.Option("-n", "--num-answers", min=1, help="Number of fillings per text, best first.")
    ] = 1,
    choice: Annotated[
        list[str] | None, typer.Option(help="An allowed answer. Repeat the option for more answers.")
    ] = None,
    regex: Annotated[
        str | None, typer.Option(help="A regular expression for every answer, such as '[0-9]{4}'.")
    ] = None,
    forbid: Annotated[
        list[str] | None,
        typer.Option(metavar="WORD", help="A word that answers must not contain. Repeat the option for more words."),
    ] = None,
    max_new_tokens: Annotated[int | None, typer.Option(min=1, help="Longest answer of a blank, in tokens.")] = None,
    order: Annotated[
        OrderName, typer.Option(help="Order in which to fill the blanks of a text.")
    ] = OrderName.left_to_right,
    sample: Sample = False,
    temperature: Temperature = 1.0,
    seed: Seed = 0,
    batch_size: BatchSize = 32,
    output: Format = Output.auto,
    device: Device = None,
    dtype: WeightsDtype = None,
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
            constraints=[_read_constraints(line, tokenizer, for_all) for line in chunk],
            order=order.value,
            do_sample=sample,
            temperature=temperature,
            seed=seed,
            batch_size=batch_size,
            first_number=number,
        )
        number += len(chunk)
        for line, fillings in zip(chunk, found, strict=True):
            print_fillings(output, line.text, fillings)


def choose_command(
    model: Model,
    text: Annotated[
        str | None,
        typer.Argument(
            metavar="[TEXT]",
            help="A text with one blank. Without it, or with -, standard input has a JSON object "
            '{"text": ..., "choices": [...]} on each line.',
        ),
    ] = None,
    choices: Annotated[
        list[str] | None, typer.Argument(metavar="[CHOICE]...", help="The answers to choose from.")
    ] = None,
    batch_size: BatchSize = 32,
    output: Format = Output.auto,
    device: Device = None,
    dtype: WeightsDtype = None,
    revision: Revision = None,
):
    """
    Choose among answers for the blank of a text, with the probability of each among the others.

    Example:

        modeling-glm choose examples/glm-tiny "HTTP status 404 is Not Found, a [MASK]." "client error" "server error"
    """
    if text is None or text == "-":
        lines = read_lines(["-"], ["choices"])
    elif choices:
        lines = iter([Line(text, {"choices": choices}, "text 1")])
    else:
        raise ValueError("There are no choices: give them after the text.")
    loaded, tokenizer = load(GLMForMultipleChoice, model, device, dtype, revision)
    for chunk in in_chunks(lines, batch_size):
        of_lines = [_read_choices(line) for line in chunk]
        try:
            found = choose(loaded, tokenizer, [line.text for line in chunk], of_lines, batch_size=batch_size)
        except ValueError as error:
            places = chunk[0].place if len(chunk) == 1 else f"{chunk[0].place} to {chunk[-1].place}"
            raise ValueError(f"{places}: {error}") from None
        for line, ranked in zip(chunk, found, strict=True):
            print_choices(output, line.text, ranked)


def _read_constraints(line: Line, tokenizer: GLMTokenizer, for_all: BlankConstraint) -> list[BlankConstraint | None]:
    blanks = len(tokenizer.split_at_blanks(line.text)) - 1
    if blanks == 0:
        raise ValueError(f"{line.place} has no blank to fill, such as [MASK]: {line.text!r}.")
    given = line.fields.get("constraints")
    if given is None:
        return [for_all] * blanks
    try:
        if not isinstance(given, list) or len(given) != blanks:
            raise ValueError(f"expected a list with an object or null for each of the {blanks} blanks")
        return [None if entry is None else _read_constraint(entry) for entry in given]
    except (TypeError, ValueError) as error:
        raise ValueError(f'{line.place}: "constraints" is {given!r}: {error}') from None


def _read_constraint(entry: Any) -> BlankConstraint:
    if not isinstance(entry, dict) or (unknown := sorted(set(entry) - set(CONSTRAINT_FIELDS))):
        wrong = unknown[0] if isinstance(entry, dict) else entry
        raise ValueError(f"{wrong!r} is not one of {', '.join(CONSTRAINT_FIELDS)}")
    return BlankConstraint(**entry)


def _read_choices(line: Line) -> list[str]:
    choices = line.fields.get("choices")
    if not isinstance(choices, list) or not choices or not all(isinstance(choice, str) for choice in choices):
        raise ValueError(f'{line.place}: "choices" is {choices!r}: expected a list of strings.')
    return choices

"""The commands that fill blanks: fill and choose."""

import contextlib
import itertools
import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .inputs import (
    BatchSize,
    Device,
    InputFile,
    InputForm,
    Model,
    OldDtype,
    Precision,
    PrecisionName,
    Revision,
    Sample,
    Seed,
    Temperature,
    TextField,
    Truncation,
    check_draws,
    load,
    read_precision,
)
from .lines import InputFormat, Line, read_lines
from .outputs import CHOICES, FILLINGS, OutputFile, RowFormat, RowOutput, result_writer

if TYPE_CHECKING:
    from ..constraints.blank_constraint import BlankConstraint
    from ..tokenization import GLMTokenizer


class OrderName(StrEnum):
    left_to_right = "left-to-right"
    confident_first = "confident-first"


CONSTRAINT_FIELDS = (
    *("choices", "regex", "json_schema", "grammar"),
    *("min_new_tokens", "max_new_tokens", "forbidden_words", "answer"),
)


def fill(
    model: Model,
    texts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TEXT]...",
            help="Texts with blanks, or a file of texts (.jsonl, .csv, .tsv). Without any, or with -, texts come from "
            'standard input, one per line. A line may be a JSON object {"text": ..., "constraints": [{"regex": ...}, null, '
            "...]} with a constraint for every blank, in place of those of the options, which null leaves. Other keys pass "
            "through to the answer.",
        ),
    ] = None,
    num_answers: Annotated[
        int, typer.Option("-n", "--num-answers", min=1, help="Number of fillings per text, best first.")
    ] = 1,
    choice: Annotated[
        list[str] | None,
        typer.Option(
            help="An allowed answer. Repeat the option for more answers. Their probabilities count the end of the answer; "
            "those of the command choose do not."
        ),
    ] = None,
    regex: Annotated[
        str | None, typer.Option(help="A regular expression for every answer, such as '[0-9]{4}'.")
    ] = None,
    json_schema: Annotated[
        str | None,
        typer.Option(
            metavar="JSON|@FILE",
            help='A JSON schema for every answer, such as \'{"type": "integer"}\', or @ and the name of its file.',
        ),
    ] = None,
    grammar: Annotated[
        str | None,
        typer.Option(
            metavar="LARK|@FILE",
            help="A context-free grammar for every answer, in the syntax of Lark, or @ and the name of its file.",
        ),
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
    truncation: Truncation = False,
    batch_size: BatchSize = 32,
    input: InputFile = None,
    input_format: InputForm = InputFormat.auto,
    text_field: TextField = "text",
    output: OutputFile = None,
    format: RowFormat = RowOutput.auto,
    device: Device = None,
    precision: Precision = PrecisionName.auto,
    dtype: OldDtype = None,
    revision: Revision = None,
):
    """
    Fill the blanks of texts, with the probability of every answer.

    A text that cannot be filled gets its error in its place, the others their answers, and the exit code is 1.

    Examples:

        modeling-glm fill examples/glm-tiny "The time 19:20 has the hour [MASK] and the minute [MASK]."

        modeling-glm fill my-model -n 5 --regex "(19|20)[0-9]{2}" "The bridge was built in [MASK]."

        modeling-glm fill my-model --json-schema @person.json "As JSON, the author is [MASK]."

        modeling-glm fill my-model < texts.jsonl > filled.jsonl

        modeling-glm fill my-model --input texts.csv --output filled.csv
    """
    from ..constraints.blank_constraint import BlankConstraint
    from ..filling.fill import Filler
    from ..filling.jobs import FillingSettings
    from ..modeling_glm import GLMForConditionalGeneration
    from ..utils.rows import RowError, check_rows, in_batches

    check_draws(sample, temperature=None if temperature == 1.0 else temperature)
    if order is OrderName.confident_first and (num_answers > 1 or sample):
        raise ValueError(f"--order {order.value} gives one filling: leave --num-answers and --sample out.")
    for_all = BlankConstraint(
        choices=choice or None,
        regex=regex,
        json_schema=_read_option("--json-schema", json_schema),
        grammar=_read_option("--grammar", grammar),
        forbidden_words=forbid or (),
        max_new_tokens=max_new_tokens,
    )
    settings = FillingSettings(
        num_answers=num_answers,
        order=order.value,
        do_sample=sample,
        temperature=temperature,
        seed=seed,
        truncation=truncation,
        batch_size=batch_size,
    )
    lines = read_lines(texts or [], input, input_format, text_field)
    loaded, tokenizer = load(GLMForConditionalGeneration, model, device, read_precision(dtype, precision), revision)
    filler = Filler(loaded, tokenizer, settings)
    with result_writer(FILLINGS, format, output) as writer:
        for first, chunk in in_batches(lines, settings.batch_size):
            checked = check_rows(
                chunk,
                lambda line: (line.read_text(), _read_constraints(line, tokenizer, for_all)),
                kind="Line",
                on_error="record",
            )
            rows = checked.restore(checked.good)
            found = filler.fill(
                [row if isinstance(row, RowError) else row[0] for row in rows],
                [None if isinstance(row, RowError) else row[1] for row in rows],
                first_number=first,
                on_error="record",
            )
            for line, fillings in zip(chunk, found, strict=True):
                writer.write(line, fillings)


def choose_command(
    model: Model,
    text: Annotated[
        str | None,
        typer.Argument(
            metavar="[TEXT]",
            help="A text with one blank, or a file of texts (.jsonl, .csv, .tsv). Without it, or with -, standard input has "
            'a JSON object {"text": ..., "choices": [...]} on each line; other keys pass through to the answer.',
        ),
    ] = None,
    choices: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CHOICE]...",
            help="The answers to choose from, for every text that has no choices of its own. In a table they are a JSON list "
            "or stand between bars: morning|evening.",
        ),
    ] = None,
    truncation: Truncation = False,
    batch_size: BatchSize = 32,
    input: InputFile = None,
    input_format: InputForm = InputFormat.auto,
    text_field: TextField = "text",
    output: OutputFile = None,
    format: RowFormat = RowOutput.auto,
    device: Device = None,
    precision: Precision = PrecisionName.auto,
    dtype: OldDtype = None,
    revision: Revision = None,
):
    """
    Choose among answers for the blank of a text, with the probability of each among the others.

    Probabilities do not count the end of an answer; those of fill --choice do. A text that cannot be used gets its error in
    its place, the others their answers, and the exit code is 1.

    Example:

        modeling-glm choose examples/glm-tiny "HTTP status 404 is Not Found, a [MASK]." "client error" "server error"
    """
    from ..filling.choose import choose
    from ..modeling_glm import GLMForMultipleChoice
    from ..utils.numbers import check_batch_size
    from ..utils.rows import RowError, check_rows, in_batches

    lines = read_lines([] if text is None else [text], input, input_format, text_field)
    first_line = next(lines)
    if text is not None and not choices and first_line.place == "text 1":
        raise ValueError("There are no choices: give them after the text.")
    loaded, tokenizer = load(GLMForMultipleChoice, model, device, read_precision(dtype, precision), revision)
    with result_writer(CHOICES, format, output) as writer:
        for _, chunk in in_batches(itertools.chain([first_line], lines), check_batch_size("batch_size", batch_size)):
            checked = check_rows(
                chunk, lambda line: (line.read_text(), _read_choices(line, choices)), kind="Line", on_error="record"
            )
            rows = checked.restore(checked.good)
            found = choose(
                loaded,
                tokenizer,
                [row if isinstance(row, RowError) else row[0] for row in rows],
                [[] if isinstance(row, RowError) else row[1] for row in rows],
                truncation=truncation,
                batch_size=batch_size,
                on_error="record",
            )
            for line, ranked in zip(chunk, found, strict=True):
                writer.write(line, ranked)


def _read_option(option: str, given: str | None) -> str | None:
    """Read the file that an option names with @."""
    if given is None or not given.startswith("@"):
        return given
    try:
        return Path(given[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{option} names a file that cannot be read: {given[1:]!r}: {error}.") from None


def _read_constraints(
    line: Line, tokenizer: "GLMTokenizer", for_all: "BlankConstraint"
) -> "list[BlankConstraint | None]":
    blanks = len(tokenizer.split_at_blanks(line.read_text())) - 1
    given = _parse(line.fields.get("constraints"))
    if given is None:
        return [for_all] * blanks
    try:
        if not isinstance(given, list) or len(given) != blanks:
            raise ValueError(f"expected a list with an object or null for each of the {blanks} blanks")
        return [for_all if entry is None else _read_constraint(entry) for entry in given]
    except (TypeError, ValueError) as error:
        raise ValueError(f'The line has "constraints" {given!r}: {error}.') from None


def _read_constraint(entry: Any) -> "BlankConstraint":
    from ..constraints.blank_constraint import BlankConstraint

    if not isinstance(entry, dict) or (unknown := sorted(set(entry) - set(CONSTRAINT_FIELDS))):
        wrong = unknown[0] if isinstance(entry, dict) else entry
        raise ValueError(f"{wrong!r} is not one of {', '.join(CONSTRAINT_FIELDS)}")
    return BlankConstraint(**entry)


def _read_choices(line: Line, for_all: list[str] | None) -> list[str]:
    choices = _parse(line.fields.get("choices"))
    if isinstance(choices, str) and "|" in choices:
        choices = choices.split("|")
    if choices is None and for_all:
        return for_all
    if not isinstance(choices, list) or not choices or not all(isinstance(choice, str) for choice in choices):
        raise ValueError(f'The line has "choices" {choices!r}: expected a list of strings, or in a table a|b.')
    return choices


def _parse(value: Any) -> Any:
    """Parse a cell of a table that holds JSON. Other strings stay, and empty cells are None."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(value)
    return value or None

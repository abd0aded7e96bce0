"""The commands that answer blanks: fill and choose."""

from enum import StrEnum
from typing import Annotated, Any

import torch
import typer

from ..filling.constraints import BlankConstraint
from ..filling.fill import fill_blanks
from ..filling.pipeline import as_dict
from ..filling.results import with_space
from ..modeling_glm import GLMForConditionalGeneration, GLMForMultipleChoice
from ..tokenization import GLMTokenizer
from .inputs import BatchSize, Device, Line, Model, OfWeights, Revision, in_chunks, load, read_lines
from .outputs import Format, Output, print_json, show_choices, show_fillings


class Order(StrEnum):
    left_to_right = "left-to-right"
    confident_first = "confident-first"


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
    dtype: OfWeights = None,
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
            if output.is_for_people:
                show_fillings(fillings)
            else:
                print_json({"text": line.text, "fillings": [as_dict(filling) for filling in fillings]})


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
    dtype: OfWeights = None,
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
            if output.is_for_people:
                show_choices([(name, share) for name, share, _ in ranked])
            else:
                told = [{"choice": name, "score": share, "log_prob": log_prob} for name, share, log_prob in ranked]
                print_json({"text": line.text, "choices": told})


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

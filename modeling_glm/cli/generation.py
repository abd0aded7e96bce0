"""The command that continues texts: generate."""

import unicodedata
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
from .lines import InputFormat, read_lines
from .outputs import CONTINUATIONS, OutputFile, RowFormat, RowOutput, is_terminal, result_writer, show_fillings

if TYPE_CHECKING:
    import torch

    from ..modeling_glm import GLMForConditionalGeneration
    from ..tokenization import GLMTokenizer

DEFAULT_MAX_NEW_TOKENS = 128


class TerminalStreamer:
    """
    Print a text that ends with a blank, and its answer word by word. All together it prints the filled text.

    It has the two methods that `generate` calls, and no base class, so that `--help` does not import Transformers.

    Args:
        tokenizer: The tokenizer of the model.
        prompt: The text.
    """

    def __init__(self, tokenizer: "GLMTokenizer", prompt: str):
        self.tokenizer = tokenizer
        self.prompt = prompt
        self._ids: list[int] | None = None
        self._printed = 0

    def put(self, value: "torch.Tensor") -> None:
        """Take what `generate` hands over: first the prompt, then the tokens one by one."""
        if self._ids is None:
            self._ids = []
        else:
            self._ids += value.flatten().tolist()
        self._print(self._words())

    def end(self) -> None:
        """Print the rest and end the line."""
        self._print(self._filled())
        print(flush=True)

    def _filled(self) -> str:
        from ..tokenization.blanks import decode_piece

        return self.tokenizer.fill(self.prompt, [decode_piece(self.tokenizer, self._ids or [])])

    def _words(self) -> str:
        """Cut a last word off that the next tokens may change. Wide signs, as of Chinese, are words of their own."""
        text = self._filled()
        if not self._ids:
            return text
        return text if unicodedata.east_asian_width(text[-1:] or " ") in "WF" else text[: text.rfind(" ") + 1]

    def _print(self, text: str) -> None:
        print(text[self._printed :], end="", flush=True)
        self._printed = max(self._printed, len(text))


def generate(
    model: Model,
    texts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TEXT]...",
            help="Texts to continue, or a file of texts (.jsonl, .csv, .tsv). Without any, or with -, texts come from "
            'standard input, one per line. A line may be a JSON object {"text": ...}; other keys pass through to the answer.',
        ),
    ] = None,
    num_answers: Annotated[
        int, typer.Option("-n", "--num-answers", min=1, help="Number of continuations per text.")
    ] = 1,
    max_new_tokens: Annotated[
        int | None,
        typer.Option(
            min=1,
            help=f"Longest continuation, in tokens. Without it: {DEFAULT_MAX_NEW_TOKENS}, or the model's limit.",
        ),
    ] = None,
    sample: Sample = False,
    temperature: Temperature = 1.0,
    top_k: Annotated[
        int | None, typer.Option(min=1, help="With --sample: draw only from this many likeliest tokens.")
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option(help="With --sample: draw only from the likeliest tokens with this probability together."),
    ] = None,
    num_beams: Annotated[int | None, typer.Option(min=1, help="Without --sample: number of beams.")] = None,
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
    Continue texts. A text without a blank is continued at its end; in others the blanks are filled.

    A text that cannot be continued gets its error in its place, the others their answers, and the exit code is 1.

    Examples:

        modeling-glm generate examples/glm-tiny "The number 4836 is written"

        modeling-glm generate my-model --sample --top-p 0.9 -n 3 "Once upon a time"

        modeling-glm generate my-model < starts.txt > stories.jsonl
    """
    from ..filling.fill import fill_blanks
    from ..filling.jobs import FillingSettings
    from ..modeling_glm import GLMForConditionalGeneration
    from ..utils.numbers import check_batch_size
    from ..utils.rows import check_rows, in_batches

    check_draws(sample, num_beams, temperature=None if temperature == 1.0 else temperature, top_k=top_k, top_p=top_p)
    settings: dict[str, Any] = {
        "do_sample": sample,
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "num_beams": num_beams,
        "seed": seed,
        "truncation": truncation,
        "batch_size": check_batch_size("batch_size", batch_size),
    }
    FillingSettings(num_answers=num_answers, max_new_tokens_per_blank=max_new_tokens, **settings)  # checks them early
    lines = read_lines(texts or [], input, input_format, text_field)
    loaded, tokenizer = load(GLMForConditionalGeneration, model, device, read_precision(dtype, precision), revision)
    settings["max_new_tokens_per_blank"] = max_new_tokens or default_limit(loaded)
    for_people = output is None and format.settle(None) is RowOutput.text
    streams = for_people and is_terminal() and num_answers == 1 and (num_beams or 1) == 1
    with result_writer(CONTINUATIONS, format, output) as writer:
        for first, chunk in in_batches(lines, 1 if streams else settings["batch_size"]):
            checked = check_rows(
                chunk, lambda line: add_blank(tokenizer, line.read_text()), kind="Line", on_error="record"
            )
            prompts = checked.restore(checked.good)
            if streams and checked.good:
                try:
                    _stream(loaded, tokenizer, checked.good[0], {**settings, "first_number": first})
                    writer.count += 1
                except ValueError as error:
                    writer.write(chunk[0], error)
                continue
            found = fill_blanks(
                loaded, tokenizer, prompts, num_answers, first_number=first, on_error="record", **settings
            )
            for line, fillings in zip(chunk, found, strict=True):
                writer.write(line, fillings)


def default_limit(model: "GLMForConditionalGeneration") -> int:
    """Find the longest continuation in tokens, where the user sets no limit."""
    return min(DEFAULT_MAX_NEW_TOKENS, model.config.max_piece_length - 2)


def add_blank(tokenizer: "GLMTokenizer", text: str) -> str:
    """Put a blank at the end of a text that has none."""
    if len(tokenizer.split_at_blanks(text)) > 1:
        return text
    return f"{text.rstrip()} {tokenizer.gmask_token or tokenizer.mask_token}"


def _stream(model: "GLMForConditionalGeneration", tokenizer: "GLMTokenizer", prompt: str, settings: dict[str, Any]):
    """Print a text as it is generated. If text follows the blank, print it when it is complete."""
    from ..filling.fill import fill_blanks

    _, *after = tokenizer.split_at_blanks(prompt)
    if len(after) == 1 and not after[0].strip():
        fill_blanks(model, tokenizer, prompt, streamer=TerminalStreamer(tokenizer, prompt), **settings)
    else:
        show_fillings(fill_blanks(model, tokenizer, prompt, **settings))

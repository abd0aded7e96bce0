"""The commands that show a model at work on whole texts: generate and demo."""

from pathlib import Path
from typing import Annotated, Any, NamedTuple

import torch
import typer
from rich.console import Console
from rich.markup import escape
from transformers import TextStreamer

from ..filling.fill import fill_blanks
from ..filling.pipeline import as_dict
from ..filling.scoring import score_fillings
from ..modeling_glm import GLMForConditionalGeneration
from ..tokenization import GLMTokenizer
from .inputs import BatchSize, Device, Model, OfWeights, Revision, in_chunks, load, read_lines
from .outputs import Format, Output, is_terminal, print_json, show_choices, show_fillings

EMBEDDED = Path(__file__).resolve().parents[2] / "examples" / "glm-tiny"


class DemoTexts(NamedTuple):
    """What the demo works on: for the embedded checkpoint facts of the kind that it knows, for others general ones."""

    fill: str
    choose: str
    choices: list[str]
    generate: str


EMBEDDED_TEXTS = DemoTexts(
    fill="The time 19:20 has the hour [MASK] and the minute [MASK].",
    choose="HTTP status 404 is Not Found, a [MASK].",
    choices=["client error", "server error", "success", "redirection"],
    generate="The number 4836 is written",
)
GENERAL_TEXTS = DemoTexts(
    fill="Paris is the [MASK] of France, and Rome that of [MASK].",
    choose="Water boils at one hundred [MASK].",
    choices=["degrees", "meters", "people"],
    generate="Once upon a time there was a king who",
)


class _TerminalStreamer(TextStreamer):
    """Prints words as they come, behind a text that is printed already."""

    _at_start = True

    def on_finalized_text(self, text: str, stream_end: bool = False):
        if self._at_start:
            text = text.lstrip()
            self._at_start = not text
        super().on_finalized_text(text, stream_end)


def generate(
    model: Model,
    texts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TEXT]...",
            help="Texts to continue. Without any, or with -: lines of standard input, each a text or a JSON object "
            '{"text": ...}.',
        ),
    ] = None,
    num_answers: Annotated[int, typer.Option("-n", "--num-answers", min=1, help="Continuations of a text.")] = 1,
    max_new_tokens: Annotated[
        int | None,
        typer.Option(min=1, help="Longest continuation, in tokens. Without it: 128, or what the model can."),
    ] = None,
    sample: Annotated[
        bool, typer.Option("--sample", help="Draw words instead of taking the most likely ones.")
    ] = False,
    temperature: Annotated[float, typer.Option(help="Of the draws.")] = 1.0,
    top_k: Annotated[int | None, typer.Option(min=1, help="Draw among so many tokens.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Draw among the tokens that have this share together.")] = None,
    num_beams: Annotated[int | None, typer.Option(min=1, help="Of the search without draws.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws.")] = 0,
    batch_size: BatchSize = 32,
    output: Format = Output.auto,
    device: Device = None,
    dtype: OfWeights = None,
    revision: Revision = None,
):
    """
    Continue texts. A text without a blank goes on at its end, where [gMASK] is put; others where they have theirs.

    Examples:

        modeling-glm generate examples/glm-tiny "The number 4836 is written"

        modeling-glm generate my-model --sample --top-p 0.9 -n 3 "Once upon a time"

        modeling-glm generate my-model < starts.txt > stories.jsonl
    """
    lines = read_lines(texts or [])
    loaded, tokenizer = load(GLMForConditionalGeneration, model, device, dtype, revision)
    limit = max_new_tokens or min(128, loaded.config.max_piece_length - 2)
    settings: dict[str, Any] = {
        "max_new_tokens_per_blank": limit,
        "do_sample": sample,
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "num_beams": num_beams,
        "seed": seed,
        "batch_size": batch_size,
    }
    one_by_one = output.is_for_people and is_terminal() and num_answers == 1 and (num_beams or 1) == 1
    number = 0
    for chunk in in_chunks(lines, 1 if one_by_one else batch_size):
        prompts = [_open_end(tokenizer, line.text) for line in chunk]
        if one_by_one:
            _stream(loaded, tokenizer, prompts[0], {**settings, "first_number": number})
        else:
            found = fill_blanks(loaded, tokenizer, prompts, num_answers, first_number=number, **settings)
            for line, fillings in zip(chunk, found, strict=True):
                if output.is_for_people:
                    show_fillings(fillings)
                else:
                    print_json({"text": line.text, "fillings": [as_dict(filling) for filling in fillings]})
        number += len(chunk)


def demo(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL]",
            help="A folder, or the name of a repository of the hub. Without it: examples/glm-tiny of the repository.",
        ),
    ] = None,
    device: Device = None,
    dtype: OfWeights = None,
    revision: Revision = None,
):
    """
    Show what a model can do, with the commands that do it; on a terminal, then try texts of your own.

    Examples:

        modeling-glm demo

        modeling-glm demo THUDM/glm-large-chinese
    """
    if model is None and not EMBEDDED.is_dir():
        raise ValueError("The embedded checkpoint is in the repository, not in the package: name a MODEL.")
    name = model or str(EMBEDDED)
    shown = EMBEDDED_TEXTS if Path(name).resolve() == EMBEDDED else GENERAL_TEXTS
    loaded, tokenizer = load(GLMForConditionalGeneration, name, device, dtype, revision)
    name = "examples/glm-tiny" if model is None else name

    console = Console(highlight=False, soft_wrap=True)

    def tell(command: str):
        console.print(f"[dim]$[/] [bold]{escape(command)}[/]")

    tell(f'modeling-glm fill {name} -n 3 "{shown.fill}"')
    show_fillings(fill_blanks(loaded, tokenizer, shown.fill, 3))
    tell(f'modeling-glm choose {name} "{shown.choose}" ' + " ".join(f'"{choice}"' for choice in shown.choices))
    scores = [
        filling.log_prob
        for filling in score_fillings(loaded, tokenizer, shown.choose, [[choice] for choice in shown.choices])
    ]
    shares = torch.tensor(scores).softmax(-1).tolist()
    show_choices(sorted(zip(shown.choices, shares, strict=True), key=lambda entry: -entry[1]))
    console.print()
    tell(f'modeling-glm generate {name} "{shown.generate}"')
    prompt = _open_end(tokenizer, shown.generate)
    show_fillings(fill_blanks(loaded, tokenizer, [prompt], max_new_tokens_per_blank=40)[0])
    if not is_terminal():
        return
    console.print("\nA text of your own, with [bold]\\[MASK][/] where words are wanted; an empty line ends.")
    while text := console.input("[bold]> [/]").strip():
        try:
            show_fillings(fill_blanks(loaded, tokenizer, _open_end(tokenizer, text), 3))
        except ValueError as error:
            console.print(str(error), markup=False)


def _open_end(tokenizer: GLMTokenizer, text: str) -> str:
    """The text with a blank at its end where it has none."""
    if len(tokenizer.split_at_blanks(text)) > 1:
        return text
    return f"{text.rstrip()} {tokenizer.gmask_token or tokenizer.mask_token}"


def _stream(model: Any, tokenizer: GLMTokenizer, prompt: str, settings: dict[str, Any]):
    """Prints a text while it is written; where more follows behind its blank, when it is whole."""
    before, *after = tokenizer.split_at_blanks(prompt)
    if len(after) == 1 and not after[0].strip():
        print(before, end="", flush=True)
        streamer = _TerminalStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True)
        fill_blanks(model, tokenizer, prompt, streamer=streamer, **settings)
    else:
        show_fillings(fill_blanks(model, tokenizer, prompt, **settings))

"""The command that shows a model at work: demo."""

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from .generation import add_blank, default_limit
from .inputs import Device, OldDtype, Precision, PrecisionName, Revision, load, read_precision
from .outputs import is_terminal, show_choices, show_fillings

NUM_TEXTS = 2
NUM_ANSWERS = 3


def show_path(folder: str) -> str:
    """Shorten the path of a folder below the working directory, so that commands with it can be read and typed."""
    path, here = Path(folder), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else folder


def demo(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL]",
            help="A folder, or the name of a repository on the hub. Without it: the small GLM that comes with the package.",
        ),
    ] = None,
    device: Device = None,
    precision: Precision = PrecisionName.auto,
    dtype: OldDtype = None,
    revision: Revision = None,
):
    """
    Show what a model can do, with the commands that do it. On a terminal you can then try your own texts.

    Examples:

        modeling-glm demo

        modeling-glm demo THUDM/glm-large-chinese
    """
    from ..checkpoints.embedded import embedded_checkpoint, sample_texts
    from ..filling.choose import choose
    from ..filling.fill import fill_blanks
    from ..modeling_glm import GLMForConditionalGeneration

    name = model or show_path(embedded_checkpoint())
    samples = sample_texts(name)
    loaded, tokenizer = load(GLMForConditionalGeneration, name, device, read_precision(dtype, precision), revision)
    console = Console(highlight=False, soft_wrap=True)

    def show_command(*arguments: str):
        # Double quotes, because blanks have brackets: [MASK].
        words = [word if shlex.quote(word) == word else f'"{word}"' for word in arguments]
        console.print(f"[dim]$[/] [bold]{escape(' '.join(['modeling-glm', *words]))}[/]")

    for text in samples.fill[:NUM_TEXTS]:
        show_command("fill", name, "-n", str(NUM_ANSWERS), text)
        show_fillings(fill_blanks(loaded, tokenizer, text, NUM_ANSWERS))
    question, choices = next(iter(samples.choose.items()))
    show_command("choose", name, question, *choices)
    show_choices(choose(loaded, tokenizer, question, choices))
    console.print()
    show_command("generate", name, samples.start[0])
    prompt = add_blank(tokenizer, samples.start[0])
    show_fillings(fill_blanks(loaded, tokenizer, prompt, max_new_tokens_per_blank=default_limit(loaded)))
    if not is_terminal():
        return
    console.print("\nTry a text of your own, with [bold]\\[MASK][/] where words are missing. An empty line ends.")
    while text := console.input("[bold]> [/]").strip():
        try:
            show_fillings(fill_blanks(loaded, tokenizer, add_blank(tokenizer, text), NUM_ANSWERS))
        except ValueError as error:
            console.print(str(error), markup=False)

"""The entry point of the command `modeling-glm`."""

import os
import signal
import sys
import warnings
from importlib.metadata import version
from typing import Annotated

import typer

from .conversion import convert, export
from .demo import demo
from .evaluation import evaluate
from .filling import choose_command, fill
from .folders import card, info
from .generation import generate
from .package import PackageCommand
from .seq2seq import seq2seq

DESCRIPTION = "GLM (autoregressive blank infilling, ACL 2022) for Hugging Face Transformers."
app = typer.Typer(
    name="modeling-glm",
    help=DESCRIPTION,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # Rich's own markup would read [MASK] as a style and drop it
)


def _show_version(wanted: bool):
    if wanted:
        print(f"modeling-glm {version('modeling-glm')}")
        raise typer.Exit


@app.callback(help=DESCRIPTION)
def _commands(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
):
    # With a callback, Typer expects the name of a command.
    pass


# In the order of `--help`: most used first.
for name, command in (
    ("fill", fill),
    ("choose", choose_command),
    ("generate", generate),
    ("seq2seq", seq2seq),
    ("convert", convert),
    ("export", export),
    ("info", info),
    ("card", card),
    ("demo", demo),
):
    app.command(name, cls=PackageCommand)(command)
app.add_typer(evaluate, name="evaluate")


def main():
    """
    Run the command.

    An error that the user can fix prints one line and exits with code 1. Ctrl+C exits with code 130.
    """
    # These signals would end the process at once. As SystemExit they let `finally` blocks clean up.
    for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores SIGHUP
            signal.signal(number, lambda number, _: sys.exit(128 + number))
    warnings.showwarning = lambda message, *_, **__: print(f"warning: {message}", file=sys.stderr)
    try:
        app(prog_name="modeling-glm")
    except BrokenPipeError:  # the reader stopped, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()

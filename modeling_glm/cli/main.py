"""The entry point of the command `modeling-glm`."""

import os
import signal
import sys
import warnings

import typer
from transformers.utils.logging import disable_progress_bar

from .conversion import convert
from .demo import demo
from .evaluation import evaluate
from .filling import choose_command, fill
from .folders import card, info
from .generation import generate
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


@app.callback(help=DESCRIPTION)
def _commands():
    # With a callback, Typer expects the name of a command.
    pass


# In the order of `--help`: most used first.
for name, command in (
    ("fill", fill),
    ("choose", choose_command),
    ("generate", generate),
    ("seq2seq", seq2seq),
    ("convert", convert),
    ("info", info),
    ("card", card),
    ("demo", demo),
):
    app.command(name)(command)
app.add_typer(evaluate, name="evaluate")


def main():
    """
    Run the command.

    An error that the user can fix prints one line and exits with code 1. Ctrl+C exits with code 130.
    """
    if not sys.stderr.isatty():
        disable_progress_bar()
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

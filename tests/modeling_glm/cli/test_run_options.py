"""Options that commands share: a command gets them as one argument, and people see them in its help."""

import typer
from typer.testing import CliRunner

from modeling_glm.cli.lines import InputFormat
from modeling_glm.cli.run_options import RunOptions, with_options


def make_app(received: list, without=()):
    app = typer.Typer()

    @app.command()
    @with_options("run", without=without)
    def measure(file: str, run: RunOptions, window: int = 3):
        """Measure a file."""
        received.append((file, window, run))

    return app


def test_options_become_one_argument():
    received = []
    arguments = ["a.txt", "--window", "5", "--text-field", "body", "--input-format", "csv", "--skip-errors"]
    result = CliRunner().invoke(make_app(received), arguments)
    assert result.exit_code == 0, result.output
    expected = RunOptions(text_field="body", input_format=InputFormat.csv, skip_errors=True)
    assert received == [("a.txt", 5, expected)]


def test_defaults_are_those_of_the_class():
    received = []
    assert CliRunner().invoke(make_app(received), ["a.txt"]).exit_code == 0
    assert received == [("a.txt", 3, RunOptions())]


def test_an_option_that_a_command_lacks():
    received = []
    result = CliRunner().invoke(make_app(received, without=["details"]), ["a.txt", "--details", "b.jsonl"])
    assert result.exit_code == 2
    assert received == []
    assert CliRunner().invoke(make_app(received, without=["details"]), ["a.txt"]).exit_code == 0
    assert received[0][2].details is None

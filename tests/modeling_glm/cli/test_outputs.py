"""Outputs of the commands."""

import json

import pytest

from modeling_glm import Choice
from modeling_glm.cli.outputs import Output, in_units, print_choices, print_fillings
from modeling_glm.filling.results import BlankAnswer, Filling

FILLING = Filling(
    text="A red fox.",
    answers=(BlankAnswer(text="red", start=2, end=5, token_ids=(1,), token_log_probs=(-0.5, -0.25)),),
)


@pytest.mark.parametrize(
    ("size", "shown"), [(999, "999 B"), (1000, "1 kB"), (6219648, "6.22 MB"), (20_400_000_000, "20.4 GB")]
)
def test_bytes_have_units(size, shown):
    assert in_units(size) == shown


@pytest.mark.parametrize("output", [Output.jsonl, Output.auto])
def test_programs_get_objects(capsys, output):
    print_fillings(output, "A [MASK] fox.", [FILLING])
    print_choices(output, "A [MASK] fox.", [Choice("rouge \u00e9", 1.0, -0.5, 0)])
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["text"] == "A [MASK] fox."
    assert first["fillings"][0]["sequence"] == "A red fox."
    assert first["fillings"][0]["log_prob"] == -0.75
    assert second["choices"] == [{"choice": "rouge \u00e9", "score": 1.0, "log_prob": -0.5}]


def test_people_get_text(capsys):
    print_fillings(Output.text, "A [MASK] fox.", [FILLING])
    print_choices(Output.text, "A [MASK] fox.", [Choice("[red]", 0.75, -0.5, 1), Choice("blue", 0.25, -1.6, 0)])
    shown, header, first, second = capsys.readouterr().out.splitlines()
    assert shown == " 47.2%  A red fox."
    assert header.split() == ["choice", "probability"]
    assert first.split() == ["[red]", "75.0%"]
    assert second.split() == ["blue", "25.0%"]


def test_auto_is_for_people_on_a_terminal(monkeypatch):
    assert not Output.auto.is_for_people
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert Output.auto.is_for_people
    assert not Output.jsonl.is_for_people

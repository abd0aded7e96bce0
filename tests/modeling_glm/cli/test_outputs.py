"""Outputs of the commands."""

import csv
import io
import json
import math

import pytest

from modeling_glm import Choice
from modeling_glm.cli.lines import Line
from modeling_glm.cli.outputs import CHOICES, FILLINGS, Output, RowOutput, in_units, result_writer
from modeling_glm.filling.results import BlankAnswer, Filling
from modeling_glm.utils.rows import RowError

FILLING = Filling(
    text="A red fox.",
    answers=(BlankAnswer(text="red", start=2, end=5, token_ids=(1,), token_log_probs=(-0.5, -0.25)),),
)


@pytest.mark.parametrize(
    ("size", "shown"), [(999, "999 B"), (1000, "1 kB"), (6219648, "6.22 MB"), (20_400_000_000, "20.4 GB")]
)
def test_bytes_have_units(size, shown):
    assert in_units(size) == shown


LINES = [
    Line(1, "line 1", "A [MASK] fox.", {"id": "x", "text": "A [MASK] fox."}),
    Line(2, "line 2", "None.", {"id": "y", "text": "None."}),
    Line(4, "line 4", "A [MASK]."),
]
BAD = RowError(1, "The text has no blank.", "Text")


def write(form, output, results, file=None):
    with result_writer(form, output, file) as writer:
        for line, result in zip(LINES, results, strict=True):
            writer.write(line, result)


@pytest.mark.parametrize("output", [RowOutput.jsonl, RowOutput.auto])
def test_programs_get_objects(capsys, output):
    with pytest.raises(ValueError, match=r"^1 of 3 texts failed\. The first: line 2 has no blank\.$"):
        write(FILLINGS, output, [[FILLING], BAD, []])
    first, bad, nothing = map(json.loads, capsys.readouterr().out.splitlines())
    filling = first["fillings"][0]
    assert first == {"id": "x", "text": "A [MASK] fox.", "fillings": [filling]}
    assert filling["text"] == filling["sequence"] == "A red fox."
    assert filling["log_prob"] == -0.75
    assert filling["mean_log_prob"] == -0.375
    assert filling["probability"] == filling["score"] == pytest.approx(math.exp(-0.75))
    assert bad == {"line": 2, "error": "The text has no blank."}
    assert nothing == {"text": "A [MASK].", "fillings": []}


def test_choices_have_the_same_names(capsys):
    write(CHOICES, RowOutput.jsonl, [[Choice("rouge \u00e9", 1.0, -0.5, 0)], [], []])
    told = json.loads(capsys.readouterr().out.splitlines()[0])
    choice = {"text": "rouge \u00e9", "choice": "rouge \u00e9", "probability": 1.0, "score": 1.0, "log_prob": -0.5}
    assert told["choices"] == [choice]


@pytest.mark.parametrize(("output", "delimiter"), [(RowOutput.csv, ","), (RowOutput.tsv, "\t")])
def test_tables(capsys, output, delimiter):
    with pytest.raises(ValueError, match="1 of 3"):
        write(FILLINGS, output, [[FILLING, FILLING], BAD, []])
    first, second, bad, nothing = csv.DictReader(io.StringIO(capsys.readouterr().out), delimiter=delimiter)
    assert list(first) == [
        *("id", "text", "rank", "filled", "answers"),
        *("probability", "score", "log_prob", "mean_log_prob", "error"),
    ]
    assert (first["rank"], second["rank"], second["id"]) == ("1", "2", "x")
    assert first["filled"] == "A red fox."
    assert json.loads(first["answers"]) == ["red"]
    assert float(first["log_prob"]) == -0.75
    assert (bad["id"], bad["filled"], bad["error"]) == ("y", "", "line 2 has no blank.")
    assert (nothing["id"], nothing["text"], nothing["filled"]) == ("", "A [MASK].", "")


def test_a_table_of_choices(capsys):
    write(CHOICES, RowOutput.csv, [[Choice("b", 0.75, -0.5, 1), Choice("a", 0.25, -1.5, 0)], [], []])
    first, second, *_ = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (first["choice"], second["choice"], first["text"]) == ("b", "a", "A [MASK] fox.")
    assert float(first["probability"]) == 0.75


@pytest.mark.parametrize(
    ("name", "first"),
    [("a.jsonl", '{"id": '), ("a.csv", "id,text,rank"), ("a.TSV", "id\ttext\trank"), ("a", '{"id": ')],
)
def test_files_are_written_whole_or_not_at_all(tmp_path, name, first):
    file = tmp_path / "deep" / name
    with pytest.raises(ValueError, match="1 of 3"):
        write(FILLINGS, RowOutput.auto, [[FILLING], BAD, []], file)
    whole = file.read_text()
    assert whole.startswith(first)

    def interrupted():
        yield [FILLING]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(FILLINGS, RowOutput.auto, interrupted(), file)
    assert file.read_text() == whole
    assert list(file.parent.iterdir()) == [file]


def test_half_of_a_surrogate_pair_passes_through(capsys):
    with result_writer(FILLINGS, RowOutput.jsonl, None) as writer:
        writer.write(Line(1, "line 1", "A", {"id": "\ud83d", "text": "A"}), [])
    assert json.loads(capsys.readouterr().out) == {"id": "\ud83d", "text": "A", "fillings": []}


def test_people_get_text(capsys):
    write(FILLINGS, RowOutput.text, [[FILLING]] * 3)
    assert capsys.readouterr().out.splitlines() == [" 47.2%  A red fox."] * 3
    write(CHOICES, RowOutput.text, [[Choice("[red]", 0.75, -0.5, 1), Choice("blue", 0.25, -1.6, 0)]] * 3)
    header, first, second, *_ = capsys.readouterr().out.splitlines()
    assert header.split() == ["choice", "probability"]
    assert first.split() == ["[red]", "75.0%"]
    assert second.split() == ["blue", "25.0%"]
    with pytest.raises(ValueError, match="1 of 3"):
        write(FILLINGS, RowOutput.text, [[FILLING], BAD, [FILLING]])
    assert capsys.readouterr().err == "error: line 2 has no blank.\n"


@pytest.mark.parametrize(("output", "ending"), [(RowOutput.text, SystemExit), (RowOutput.jsonl, ValueError)])
def test_a_single_failure_is_told_once(capsys, output, ending):
    with pytest.raises(ending) as ended, result_writer(FILLINGS, output, None) as writer:
        writer.write(LINES[1], BAD)
    assert "line 2 has no blank." in f"{ended.value}{capsys.readouterr().err}"


def test_auto_is_for_people_on_a_terminal(monkeypatch):
    assert not Output.auto.is_for_people
    assert RowOutput.auto.settle(None) is RowOutput.jsonl
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert Output.auto.is_for_people
    assert RowOutput.auto.settle(None) is RowOutput.text
    assert not Output.jsonl.is_for_people
    assert RowOutput.jsonl.settle(None) is RowOutput.jsonl


def test_fields_with_the_names_of_results_are_kept(capsys):
    """As where the answers of a command are the input of another one."""
    fields = {"text": "A [MASK].", "score": "0.5", "input_score": "x", "fillings": "old", "error": "none"}
    line = Line(1, "line 1", "A [MASK].", fields)
    told = []
    for output in (RowOutput.csv, RowOutput.jsonl):
        with result_writer(FILLINGS, output, None) as writer:
            writer.write(line, [FILLING])
        told.append(capsys.readouterr().out)
    (row,) = csv.DictReader(io.StringIO(told[0]))
    assert (row["input_input_score"], row["input_score"], row["input_error"]) == ("0.5", "x", "none")
    assert float(row["score"]) == pytest.approx(math.exp(-0.75))
    answer = json.loads(told[1])
    assert (answer["input_fillings"], answer["score"], answer["error"]) == ("old", "0.5", "none")
    assert answer["fillings"][0]["text"] == "A red fox."


def test_every_column_of_a_result_is_known():
    for form, result in ((FILLINGS, [FILLING]), (CHOICES, [Choice("a", 1.0, -0.5, 0)])):
        assert [tuple(row) for row in form.as_rows(result)] == [form.columns]

"""modeling-glm seq2seq on the embedded checkpoint, with a pattern of its own and with one that a folder carries."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from modeling_glm import DataCollatorForInfillingSeq2Seq, GLMForConditionalGeneration, GLMTokenizer, predict_targets
from tests.support.command import objects
from tests.support.paths import ROOT

TINY = "examples/glm-tiny"
PATTERN = "The time {clock} has the hour [MASK] and the minute [MASK]."
CLOCKS = ["19:20", "07:45", "12:01"]


@pytest.fixture(scope="module")
def carrying(tmp_path_factory) -> Path:
    """The output folder of a run, whose model carries a pattern."""
    folder = tmp_path_factory.mktemp("run")
    shutil.copytree(ROOT / TINY, folder / "model")
    tokenizer = GLMTokenizer.from_pretrained(folder / "model")
    DataCollatorForInfillingSeq2Seq(tokenizer, PATTERN, target="hour", max_target_length=8).save_pretrained(
        folder / "model"
    )
    return folder


def test_answers_are_those_of_predict_targets(run, carrying):
    rows = [{"id": number, "clock": clock} for number, clock in enumerate(CLOCKS)]
    given = "".join(json.dumps(row) + "\n" for row in rows).encode()
    told = objects(run("seq2seq", carrying, "--num-beams", 3, "-n", 2, given=given))
    tokenizer = GLMTokenizer.from_pretrained(carrying / "model")
    model = GLMForConditionalGeneration.from_pretrained(carrying / "model", dtype="float32")
    collator = DataCollatorForInfillingSeq2Seq.from_pretrained(carrying / "model", tokenizer)
    expected = predict_targets(model, collator, rows, num_beams=3, num_return_sequences=2)
    for line, row, predictions in zip(told, rows, expected, strict=True):
        assert {name: line[name] for name in row} == row
        assert [found["text"] for found in line["predictions"]] == [found.text for found in predictions]
        for found, prediction in zip(line["predictions"], predictions, strict=True):
            assert found["log_prob"] == pytest.approx(prediction.log_prob, abs=1e-4)
            assert found["score"] == pytest.approx(prediction.score, abs=1e-4)
            assert found["answers"] == list(prediction.answers)
    assert [line["predictions"][0]["answers"][0] for line in told] == ["19", "7", "12"]


def test_texts_and_a_pattern_of_its_own(run, carrying):
    told = objects(run("seq2seq", TINY, *CLOCKS, "--pattern", PATTERN, "--max-new-tokens", 6))
    assert [line["text"] for line in told] == CLOCKS
    lines = "\n".join(CLOCKS).encode()
    again = objects(run("seq2seq", carrying, "--batch-size", 1, "--max-new-tokens", 6, given=lines))
    for one, other in zip(told, again, strict=True):
        assert one["predictions"][0]["text"] == other["predictions"][0]["text"]


def test_tables_go_in_and_out(run, carrying, tmp_path):
    table, answers = tmp_path / "in.csv", tmp_path / "out.tsv"
    table.write_text("id,clock\n7,19:20\n8, \n9,07:45\n")
    result = run("seq2seq", carrying, table, "--output", answers)
    assert result.returncode == 1
    assert f"1 of 3 texts failed. The first: line 3 of {table}" in result.stderr
    with open(answers, newline="") as file:
        first, bad, last = csv.DictReader(file, delimiter="\t")
    assert (first["id"], first["rank"], first["answer"]) == ("7", "1", "19\n20")
    assert (last["id"], last["answers"]) == ("9", '["7", "45"]')
    assert bad["error"].startswith(f"line 3 of {table}")


def test_bad_lines_cost_no_good_line(run, carrying):
    lines = ["{broken", '{"clock": "19:20"}', '{"other": 1}', '{"clock": null}', '{"clock": "12:01"}']
    result = run("seq2seq", carrying, "--batch-size", 2, given="\n".join(lines).encode())
    assert result.returncode == 1
    assert result.stderr.startswith(
        "error: 3 of 5 texts failed. The first: line 1 of standard input is not a JSON object"
    )
    told = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line.get("line") for line in told] == [1, None, 3, 4, None]
    assert [told[place]["predictions"][0]["answers"][0] for place in (1, 4)] == ["19", "12"]


def test_a_pattern_of_several_columns(run):
    pattern = "The time {hour}:{minute} has the hour [MASK] and the minute [MASK]."
    given = b'{"hour": "19", "minute": "20"}\n19:20\n{"hour": "19"}\n'
    result = run("seq2seq", TINY, "--pattern", pattern, given=given)
    first, text, short = (json.loads(line) for line in result.stdout.splitlines())
    assert first["predictions"][0]["answers"] == ["19", "20"]
    assert "is a text, but the pattern reads 'hour', 'minute'" in text["error"]
    assert "'minute'" in short["error"]


def test_text_is_for_people(run):
    result = run("seq2seq", TINY, "19:20", "--pattern", PATTERN, "--format", "text")
    assert result.returncode == 0
    probability, *answers = result.stdout.split()
    assert answers == ["19", "|", "20"]
    assert probability.endswith("%")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([TINY, "19:20"], "carries no pattern, because it has no seq2seq.json: give one, such as --pattern"),
        ([TINY, "19:20", "--pattern", "{clock}"], "blank"),
        ([TINY, "19:20", "--pattern", PATTERN, "-n", 2], "num_return_sequences=2 and num_beams=1"),
        ([TINY, "19:20", "--pattern", PATTERN, "--max-source-length", 999], "position table ends at 256"),
        (["no-such-folder", "19:20"], "Cannot load a model from no-such-folder"),
    ],
)
def test_errors(run, arguments, message):
    result = run("seq2seq", *arguments)
    assert result.returncode == 1
    assert result.stdout == ""
    assert message in result.stderr

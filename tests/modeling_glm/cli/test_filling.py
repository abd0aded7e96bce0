"""modeling-glm fill and choose on the embedded checkpoint."""

import json

import pytest

from modeling_glm import GLMForMultipleChoice, GLMTokenizer, choose
from tests.support.command import objects

TINY = "examples/glm-tiny"
TEXT = "The time 19:20 has the hour [MASK] and the minute [MASK]."
QUESTION = "HTTP status 404 is Not Found, a [MASK]."


def test_fill_tells_the_fillings_of_every_text(run):
    (first, second) = objects(run("fill", TINY, TEXT, "The number 12 is [MASK].", "-n", 2))
    assert first["text"] == TEXT
    assert first["fillings"][0]["sequence"] == "The time 19:20 has the hour 19 and the minute 20."
    assert len(first["fillings"]) == len(second["fillings"]) == 2


def test_fill_reads_standard_input_with_constraints(run):
    line = {"text": "The number 13 is [MASK].", "constraints": [{"choices": ["odd", "even"]}]}
    given = f"{TEXT}\n\n{json.dumps(line)}\n".encode()
    first, second = objects(run("fill", TINY, "--batch-size", 1, given=given))
    assert first["fillings"][0]["answers"][0]["text"] == "19"
    assert second["fillings"][0]["answers"][0]["text"] in ("odd", "even")


def test_options_become_constraints(run):
    (filled,) = objects(run("fill", TINY, "The number [MASK].", "--regex", "[0-9]{3}", "--forbid", "100", "-n", 3))
    assert all(entry["answers"][0]["text"].isdigit() for entry in filled["fillings"])
    (filled,) = objects(run("fill", TINY, "The number [MASK].", "--choice", "7", "--choice", "8", "-n", 9))
    assert {entry["answers"][0]["text"] for entry in filled["fillings"]} == {"7", "8"}


def test_text_is_for_people(run):
    result = run("fill", TINY, TEXT, "--format", "text")
    assert result.returncode == 0
    assert result.stdout.split("  ")[-1].strip() == "The time 19:20 has the hour 19 and the minute 20."
    assert "\x1b" not in result.stdout


def test_choose_prints_what_the_function_finds(run):
    model, tokenizer = GLMForMultipleChoice.from_pretrained(TINY), GLMTokenizer.from_pretrained(TINY)
    names = ["server error", "client error", "success"]
    expected = choose(model.float(), tokenizer, QUESTION, names)
    (told,) = objects(run("choose", TINY, QUESTION, *names))
    assert told["text"] == QUESTION
    assert [entry["choice"] for entry in told["choices"]] == [choice.text for choice in expected]
    assert [entry["score"] for entry in told["choices"]] == pytest.approx([c.probability for c in expected], abs=1e-5)
    assert [entry["log_prob"] for entry in told["choices"]] == pytest.approx([c.log_prob for c in expected], abs=1e-4)
    line = json.dumps({"text": QUESTION, "choices": names}).encode()
    assert objects(run("choose", TINY, given=line)) == [told]


def test_choose_shows_a_table_to_people(run):
    result = run("choose", TINY, QUESTION, "server error", "client error", "--format", "text")
    header, first, second = (line.split() for line in result.stdout.splitlines())
    assert header == ["choice", "probability"]
    assert first[:2] == ["client", "error"]
    assert float(first[2].rstrip("%")) + float(second[2].rstrip("%")) == pytest.approx(100, abs=0.11)


@pytest.mark.parametrize(
    ("arguments", "given", "message"),
    [
        (["fill", TINY], b'{"text": "a [MASK]", "constraints": [1]}', "1 is not one of choices"),
        (["fill", TINY], b'{"text": "a [MASK]", "constraints": [null, null]}', "for each of the 1 blanks"),
        (["fill", TINY, "no blank"], b"", "text 1 has no blank to fill"),
        (["choose", TINY, "a [MASK]"], b"", "There are no choices"),
        (["choose", TINY], b'{"text": "a [MASK]", "choices": "x"}', "expected a list of strings"),
        (["choose", TINY, "[MASK] [MASK]", "a"], b"", "text 1: Text 0 has 2 blanks"),
        (
            ["choose", TINY],
            b'{"text": "[MASK]", "choices": ["a"]}\n{"text": "x", "choices": ["a"]}',
            "line 1 to line 2: ",
        ),
    ],
    ids=str,
)
def test_what_the_user_can_fix_is_one_line(run, arguments, given, message):
    result = run(*arguments, given=given)
    assert result.returncode == 1
    assert message in result.stderr
    assert result.stderr.count("\n") == 1

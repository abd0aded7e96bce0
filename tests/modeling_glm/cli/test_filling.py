"""modeling-glm fill and choose on the embedded checkpoint."""

import csv
import json
import re

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


def test_null_in_a_line_leaves_what_the_options_say(run):
    line = {"text": "The number [MASK] is [MASK].", "constraints": [None, {"choices": ["odd"]}]}
    (filled,) = objects(run("fill", TINY, "--choice", "7", "--choice", "8", given=json.dumps(line).encode()))
    number, kind = filled["fillings"][0]["answers"]
    assert number["text"] in ("7", "8")
    assert kind["text"] == "odd"


def test_schemas_and_grammars_come_as_options_and_in_lines(run, tmp_path):
    pytest.importorskip("llguidance")
    schema = {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2}
    (tmp_path / "pair.json").write_text(json.dumps(schema))
    lines = [
        {"text": "a [MASK]", "constraints": [{"json_schema": schema}]},
        {"text": "a [MASK]", "constraints": [{"grammar": 'start: "(" /[0-9]/ ")"'}]},
        {"text": "a [MASK]", "constraints": [{"json_schema": {"type": "nonsense"}}]},
        {"text": "a [MASK]"},
    ]
    given = "\n".join(map(json.dumps, lines)).encode()
    result = run("fill", TINY, "--json-schema", f"@{tmp_path / 'pair.json'}", "--max-new-tokens", 20, given=given)
    of_line, of_grammar, wrong, of_option = (json.loads(line) for line in result.stdout.splitlines())
    for told in (of_line, of_option):
        pair = json.loads(told["fillings"][0]["answers"][0]["text"])
        assert [type(number) for number in pair] == [int, int]
    assert re.fullmatch(r"\([0-9]\)", of_grammar["fillings"][0]["answers"][0]["text"])
    assert "Invalid type: nonsense" in wrong["error"]
    (told,) = objects(run("fill", TINY, "a [MASK]", "--grammar", 'start: "yes" | "no"'))
    assert told["fillings"][0]["answers"][0]["text"] in ("yes", "no")


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


MIXED = [
    {"id": 1, "text": TEXT},
    {"id": 2, "text": "no blank"},
    {"id": 3, "text": "a [MASK]", "constraints": [1]},
    {"id": 4, "text": "The number 12 is [MASK]."},
    {"id": 5, "text": "[MASK] " * 300},
    {"id": 6},
    {"id": 7, "text": "The number 12 is [MASK].", "constraints": [{"regex": "[0-9]{70}", "max_new_tokens": 3}]},
    {"id": 8, "text": "The number 12 is [MASK]."},
]


@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_bad_lines_cost_no_good_line(run, batch_size):
    given = "\n\n".join(["{broken", *map(json.dumps, MIXED)]).encode()
    result = run("fill", TINY, "--batch-size", batch_size, given=given)
    assert result.returncode == 1
    assert result.stderr.startswith(
        "error: 6 of 9 texts failed. The first: line 1 of standard input is not a JSON object"
    )
    assert result.stderr.count("\n") == 1
    told = [json.loads(line) for line in result.stdout.splitlines()]
    assert [entry.get("line", entry.get("id")) for entry in told] == [1, 1, 5, 7, 4, 11, 13, 15, 8]
    assert all(set(entry) == {"line", "error"} for entry in told if "error" in entry)
    assert told[2]["error"].startswith("The text has no blank to fill")
    (alone,) = objects(run("fill", TINY, given=json.dumps(MIXED[0]).encode()))
    assert told[1]["fillings"][0]["text"] == alone["fillings"][0]["text"]


def test_draws_do_not_depend_on_bad_lines(run):
    draws = ("--sample", "--temperature", 2, "--seed", 3, "--max-new-tokens", 6)
    good = b"The number 12 is [MASK].\n"
    expected = objects(run("fill", TINY, *draws, given=good * 3))
    result = run("fill", TINY, *draws, "--batch-size", 2, given=good + b"none\n" + good)
    first, _, third = (json.loads(line) for line in result.stdout.splitlines())
    assert [entry["fillings"][0]["text"] for entry in (first, third)] == [
        expected[place]["fillings"][0]["text"] for place in (0, 2)
    ]


def test_choose_takes_bad_lines_and_choices_for_all(run):
    lines = [
        {"id": 1, "text": QUESTION},
        {"text": "none"},
        {"text": "[MASK] [MASK]"},
        {"id": 4, "text": QUESTION, "choices": ["success", "server error"]},
        {"text": QUESTION, "choices": []},
        {"text": QUESTION, "choices": [""]},
    ]
    given = "\n".join(map(json.dumps, lines)).encode()
    result = run("choose", TINY, "-", "client error", "success", given=given)
    assert result.returncode == 1
    assert "4 of 6 texts failed. The first: line 2 of standard input has no blank" in result.stderr
    told = [json.loads(line) for line in result.stdout.splitlines()]
    assert [entry.get("line", entry.get("id")) for entry in told] == [1, 2, 3, 4, 5, 6]
    assert {choice["text"] for choice in told[0]["choices"]} == {"client error", "success"}
    assert {choice["text"] for choice in told[3]["choices"]} == {"server error", "success"}


def test_tables_go_in_and_out(run, tmp_path):
    table, filled, chosen = (tmp_path / name for name in ("in.csv", "filled.csv", "chosen.tsv"))
    rows = [("7", QUESTION, "success|client error"), ("8", "none", "a|b"), ("9", QUESTION, '["server error", "a|b"]')]
    with open(table, "w", newline="") as file:
        csv.writer(file).writerows([("id", "text", "choices"), *rows])
    assert run("fill", TINY, "-i", table, "-o", filled).stdout == ""
    result = run("choose", TINY, table, "--output", chosen)
    assert result.returncode == 1
    assert f"1 of 3 texts failed. The first: line 3 of {table} has no blank" in result.stderr
    with open(filled, newline="") as file:
        first, bad, last = csv.DictReader(file)
    assert (first["id"], first["text"], first["choices"]) == rows[0]
    assert first["filled"].startswith("HTTP status 404 is Not Found, a ")
    assert bad["error"].startswith(f"line 3 of {table} has no blank")
    assert last["filled"] == first["filled"]
    with open(chosen, newline="") as file:
        ranked = list(csv.DictReader(file, delimiter="\t"))
    assert [(row["id"], row["rank"]) for row in ranked] == [("7", "1"), ("7", "2"), ("8", ""), ("9", "1"), ("9", "2")]
    assert ranked[0]["choice"] == "client error"


@pytest.mark.parametrize(
    ("arguments", "given", "message"),
    [
        (["fill", TINY], b'{"text": "a [MASK]", "constraints": [1]}', "1 is not one of choices"),
        (["fill", TINY], b'{"text": "a [MASK]", "constraints": [null, null]}', "for each of the 1 blanks"),
        (["fill", TINY, "no blank"], b"", "text 1 has no blank to fill"),
        (["choose", TINY, "a [MASK]"], b"", "There are no choices"),
        (["choose", TINY], b'{"text": "a [MASK]", "choices": "x"}', "expected a list of strings"),
        (["choose", TINY, "[MASK] [MASK]", "a"], b"", "text 1 has 2 blanks"),
        (
            ["choose", TINY],
            b'{"text": "[MASK]", "choices": ["a"]}\n{"text": "x", "choices": ["a"]}',
            "line 2 of standard",
        ),
        (["fill", TINY, "a [MASK]", "--regex", "("], b"", "regex"),
        (
            ["fill", TINY, "a [MASK]", "--json-schema", "@nowhere.json"],
            b"",
            "--json-schema names a file that cannot be",
        ),
        (["fill", TINY, "a [MASK]", "--json-schema", "{"], b"", "cannot be read as JSON"),
        (["fill", TINY, "--input", "nowhere.csv"], b"", "nowhere.csv"),
    ],
    ids=str,
)
def test_what_the_user_can_fix_is_one_line(run, arguments, given, message):
    result = run(*arguments, given=given)
    assert result.returncode == 1
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_long_texts_are_cut_if_asked(run):
    text = f"{'The time 07:20 is in the morning. ' * 40}The time 07:20 is in the [MASK]."
    refused = run("fill", TINY, text)
    assert refused.returncode == 1
    assert "--truncation" in f"{refused.stdout}{refused.stderr}"
    (filled,) = objects(run("fill", TINY, text, "--truncation"))
    assert filled["fillings"][0]["text"].startswith(text[:1000])
    (told,) = objects(run("choose", TINY, text, "evening", "morning", "--truncation"))
    assert told["choices"][0]["choice"] == "morning"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["fill", "--sample", "--temperature", "nan"], "temperature=nan: expected a number from"),
        (["fill", "--sample", "--temperature", "inf"], "temperature=inf: expected a number from"),
        (["fill", "--sample", "--temperature", "0"], "temperature=0.0: expected a number from"),
        (["fill", "--temperature", "0.7"], "--temperature 0.7 shapes draws: add --sample, or leave it out."),
        (["generate", "--top-k", "5"], "--top-k 5 shapes draws: add --sample, or leave it out."),
        (["generate", "--sample", "--num-beams", "4"], "--sample and --num-beams 4: give one of them."),
        (
            ["fill", "--order", "confident-first", "-n", "2"],
            "--order confident-first gives one filling: leave --num-answers and --sample out.",
        ),
        (["fill", "-n", "1000000"], "num_answers=1000000: expected 1 to 8192, the number of tokens"),
        (["generate", "-n", "1000000"], "num_answers=1000000: expected 1 to 8192, the number of tokens"),
        (["generate", "--num-beams", "1000000"], "num_beams=1000000: expected 1 to 8192"),
        (["generate", "--sample", "--top-p", "nan"], "top_p=nan: expected a number from 0 to 1"),
        (["generate", "--max-new-tokens", "1000000"], "max_new_tokens_per_blank=1000000: expected 1 to 254"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_absurd_options_are_refused_in_words(run, options, message):
    command, *rest = options
    result = run(command, TINY, *rest, "A [MASK].", given=b"")
    assert result.returncode == 1
    assert message in f"{result.stdout}{result.stderr}"


def test_a_batch_may_be_larger_than_the_input(run):
    (filled,) = objects(run("fill", TINY, "The time 19:20 has the hour [MASK].", "--batch-size", str(10**30)))
    assert filled["fillings"]

"""modeling-glm fill, choose and info on the embedded checkpoint, as users start them."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Result

ROOT = Path(__file__).parents[2]
TINY = "examples/glm-tiny"
TEXT = "The time 19:20 has the hour [MASK] and the minute [MASK]."
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


@pytest.fixture(autouse=True)
def _in_the_repository_without_a_network(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def objects(result: Result) -> list[dict]:
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


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


def test_choose_ranks(run):
    text = "HTTP status 404 is Not Found, a [MASK]."
    (told,) = objects(run("choose", TINY, text, "server error", "client error"))
    assert [entry["choice"] for entry in told["choices"]] == ["client error", "server error"]
    assert sum(entry["score"] for entry in told["choices"]) == pytest.approx(1.0)
    line = json.dumps({"text": text, "choices": ["server error", "client error"]}).encode()
    assert objects(run("choose", TINY, given=line)) == [told]


def test_info_tells_what_a_model_is(run):
    (facts,) = objects(run("info", TINY))
    assert facts["parameters"] == 3109824
    assert facts["blanks"] == ["[MASK]", "[sMASK]", "[gMASK]"]
    assert facts["bytes"]["bfloat16"] == 2 * 3109824


@pytest.mark.parametrize(
    ("arguments", "given", "message"),
    [
        (["fill", TINY], b"", "Standard input is empty"),
        (["fill", TINY], b"a [MASK]\n\xff\xfe\n", "line 2 of standard input is not UTF-8"),
        (["fill", TINY], b'{"text": 5}\n', 'line 1 of standard input has no "text"'),
        (["fill", TINY], b"{broken\n", "line 1 of standard input begins with { but is no JSON object"),
        (["fill", TINY], b'{"text": "a [MASK]", "extra": 1}', "line 1 of standard input has 'extra'"),
        (["fill", TINY], b'{"text": "a [MASK]", "constraints": [1]}', "1 is none of choices"),
        (["fill", TINY, "no blank"], b"", "text 1 has no blank to fill"),
        (["fill", "nowhere/at-all", "a [MASK]"], b"", "nowhere/at-all"),
        (["fill", TINY, "a [MASK]", "--device", "nonsense"], b"", "--device nonsense"),
        (["choose", TINY, "a [MASK]"], b"", "There are no choices"),
        (["choose", TINY], b'{"text": "a [MASK]", "choices": "x"}', "expected a list of texts"),
    ],
    ids=str,
)
def test_what_the_user_can_mend_is_one_line(run, arguments, given, message):
    result = run(*arguments, given=given)
    assert result.returncode == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_who_reads_may_stop_reading():
    texts = b"The number [MASK].\n" * 200
    command = f"{sys.executable} -m modeling_glm fill {TINY} --batch-size 1 | head -n 1"
    result = subprocess.run(
        command, shell=True, input=texts, capture_output=True, cwd=ROOT, env=ENVIRONMENT, timeout=120
    )
    assert len(result.stdout.splitlines()) == 1
    assert b"Traceback" not in result.stderr
    assert b"BrokenPipe" not in result.stderr


def test_an_interruption_ends_it():
    command = [sys.executable, "-m", "modeling_glm", "fill", TINY]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, env=ENVIRONMENT
    ) as process:
        process.stdin.write(b"The number [MASK].\n" * 32)
        process.stdin.flush()
        process.stdout.readline()  # it is at work, and waits for more
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in error

"""modeling-glm fill, choose, generate, card, info and demo on the embedded checkpoint, as users start them."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from functools import partial

import pytest
from huggingface_hub import ModelCard

from tests.support.command import Result
from tests.support.paths import ROOT

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


def test_generate_continues(run):
    (first, second) = objects(run("generate", TINY, "The number 12 is", "The hour of 19:20 is [MASK].", "-n", 2))
    assert first["text"] == "The number 12 is"
    assert all(entry["sequence"].startswith("The number 12 is ") for entry in first["fillings"])
    assert second["fillings"][0]["sequence"].startswith("The hour of 19:20 is ")
    assert len(first["fillings"]) == len(second["fillings"]) == 2


def test_generate_draws_the_same_for_any_batch(run):
    draws = ("--sample", "--top-p", "0.9", "--temperature", "1.5", "--seed", "3", "--max-new-tokens", "8")
    given = b"The number 12 is\nThe number 13 is\nThe number 14 is\n"
    told = objects(run("generate", TINY, *draws, given=given))
    alone = objects(run("generate", TINY, *draws, "--batch-size", 1, given=given))
    for one, together in zip(alone, told, strict=True):
        assert [filling["sequence"] for filling in one["fillings"]] == [f["sequence"] for f in together["fillings"]]
        assert one["fillings"][0]["log_prob"] == pytest.approx(together["fillings"][0]["log_prob"], abs=1e-3)
    other = objects(run("generate", TINY, *draws, "--seed", 4, given=given))
    assert other != told


def test_generate_writes_as_it_goes_on_a_terminal(run, monkeypatch):
    (whole,) = objects(run("generate", TINY, "The number 12 is", "--max-new-tokens", 8))
    monkeypatch.setattr("modeling_glm.cli.generation.is_terminal", lambda: True)
    result = run("generate", TINY, "The number 12 is", "--max-new-tokens", 8, "--format", "text")
    assert result.stdout.strip() == whole["fillings"][0]["sequence"]
    result = run("generate", TINY, "The [MASK] of 1987-03-12 is twelve.", "--format", "text")
    assert result.stdout.rstrip().endswith(" of 1987-03-12 is twelve.")


def test_card_is_printed_or_written(run, tmp_path):
    result = run("card", TINY, "--license", "mit", "--language", "en", "--dataset", "wikipedia", "--tag", "tiny")
    assert result.returncode == 0, result.stderr
    card = ModelCard(result.stdout)
    assert (card.data.license, card.data.language, card.data.datasets) == ("mit", ["en"], ["wikipedia"])
    assert "tiny" in card.data.tags
    folder = tmp_path / "model"
    shutil.copytree(TINY, folder)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Mine\n\nMy own words.\n", encoding="utf-8")
    result = run("card", folder, "--write", "--tag", "tiny")
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == str(folder / "README.md")
    written = ModelCard.load(folder / "README.md")
    assert written.data.license == "apache-2.0"
    assert "My own words." in written.text
    assert "3,109,824 parameters" in written.text


def test_demo_shows_what_the_commands_do(run):
    result = run("demo")
    assert result.returncode == 0, result.stderr
    assert "The time 19:20 has the hour 19 and the minute 20." in result.stdout
    assert "client error" in result.stdout
    assert result.stdout.count("$ modeling-glm ") == 3
    commands = [shlex.split(line)[2:] for line in result.stdout.splitlines() if line.startswith("$ ")]
    for command in commands:
        told = run(*command, "--format", "text")
        assert told.returncode == 0
        answer = told.stdout.splitlines()[0].split("  ")[-1].strip()
        assert answer in result.stdout


def test_demo_tries_what_is_typed(run, monkeypatch):
    monkeypatch.setattr("modeling_glm.cli.generation.is_terminal", lambda: True)
    typed = iter(["The number 12 is [MASK].", "[MASK]" * 300, ""])
    monkeypatch.setattr("rich.console.Console.input", lambda *_, **__: next(typed))
    result = run("demo", TINY)
    assert result.returncode == 0, result.stderr
    assert "The number 12 is " in result.stdout
    assert "302 tokens, but the position table holds 257" in result.stdout


def test_demo_without_the_repository_asks_for_a_model(run, monkeypatch, tmp_path):
    monkeypatch.setattr("modeling_glm.cli.generation.EMBEDDED", tmp_path / "nothing")
    result = run("demo")
    assert result.returncode == 1
    assert "name a MODEL" in result.stderr


@pytest.mark.parametrize("command", ["fill", "choose", "generate", "convert", "card", "info", "demo"])
def test_help_teaches(run, command):
    result = run(command, "--help")
    assert result.returncode == 0
    assert "Example" in result.stdout
    assert "--help" in result.stdout


@pytest.mark.parametrize("command", ["fill", "choose", "generate", "card", "info", "demo"])
def test_a_model_that_is_not_there_is_named(run, command):
    texts = {"fill": ["a [MASK]"], "choose": ["a [MASK]", "b"], "generate": ["a"]}.get(command, [])
    result = run(command, "nowhere/at-all", *texts)
    assert result.returncode == 1
    assert "nowhere/at-all" in result.stderr
    assert "Traceback" not in result.stderr


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
        (["generate", TINY], b"", "Standard input is empty"),
        (["generate", TINY], b"\xff\n", "line 1 of standard input is not UTF-8"),
        (["generate", TINY, "a", "--sample", "--num-beams", "2"], b"", "draws or beams"),
        (["generate", TINY, "a", "--sample", "--top-p", "7"], b"", "top_p"),
        (["card", "openai/nothing", "--write"], b"", "openai/nothing"),
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


@pytest.mark.parametrize("command", ["fill", "generate"])
def test_who_reads_may_stop_reading(command):
    texts = b"The number [MASK].\n" * 200
    command = f"{sys.executable} -m modeling_glm {command} {TINY} --batch-size 1 | head -n 1"
    result = subprocess.run(
        command, shell=True, input=texts, capture_output=True, cwd=ROOT, env=ENVIRONMENT, timeout=120
    )
    assert len(result.stdout.splitlines()) == 1
    assert b"Traceback" not in result.stderr
    assert b"BrokenPipe" not in result.stderr


def test_an_interruption_ends_it():
    command = [sys.executable, "-m", "modeling_glm", "fill", TINY]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    # Shells have what they start in the background ignore the signal.
    listens = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, preexec_fn=listens, **pipes) as process:
        process.stdin.write(b"The number [MASK].\n" * 32)
        process.stdin.flush()
        process.stdout.readline()  # it is at work, and waits for more
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in error

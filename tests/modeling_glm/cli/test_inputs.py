"""Inputs of the commands: arguments, lines of standard input, and folders of models."""

import io
import sys

import pytest

from modeling_glm.cli.inputs import Line, in_chunks, read_lines
from tests.support.command import objects

TINY = "examples/glm-tiny"


@pytest.fixture
def given(monkeypatch):
    def give(content: bytes):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    return give


def test_arguments_are_texts():
    assert list(read_lines(["a", "{b"])) == [Line("a", {}, "text 1"), Line("{b", {}, "text 2")]


@pytest.mark.parametrize("arguments", [[], ["-"]])
def test_lines_are_texts_or_objects(given, arguments):
    given(b'\xef\xbb\xbfone\r\n\n{"text": "two", "choices": ["x"]}\n')
    expected = [Line("one", {}, "line 1"), Line("two", {"choices": ["x"]}, "line 3")]
    assert list(read_lines(arguments, ["choices"])) == expected


def test_lines_are_read_as_they_are_wanted(given):
    given(b"one\ntwo\n\xff\n")
    assert [line.text for line in next(in_chunks(read_lines([]), 2))] == ["one", "two"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "Standard input is empty"),
        (b"a [MASK]\n\xff\xfe\n", "line 2 of standard input is not UTF-8"),
        (b'{"text": 5}\n', 'line 1 of standard input has no "text"'),
        (b"{broken\n", "line 1 of standard input begins with { but is not a JSON object"),
        (b'{"text": "a [MASK]", "extra": 1}', "line 1 of standard input has 'extra'"),
    ],
    ids=str,
)
@pytest.mark.parametrize("command", ["fill", "generate"])
def test_wrong_lines_are_one_line(run, command, content, message):
    result = run(command, TINY, given=content)
    assert result.returncode == 1
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["fill", "choose", "generate", "card", "info", "demo"])
def test_a_model_that_is_not_there_is_named(run, command):
    texts = {"fill": ["a [MASK]"], "choose": ["a [MASK]", "b"], "generate": ["a"]}.get(command, [])
    result = run(command, "nowhere/at-all", *texts)
    assert result.returncode == 1
    assert "nowhere/at-all" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_device_that_does_not_exist_is_named(run):
    result = run("fill", TINY, "a [MASK]", "--device", "nonsense")
    assert result.returncode == 1
    assert "--device nonsense" in result.stderr


def test_weights_have_the_dtype_that_was_chosen(run):
    (exact,) = objects(run("fill", TINY, "The number 12 is [MASK]."))
    (coarse,) = objects(run("fill", TINY, "The number 12 is [MASK].", "--dtype", "bfloat16"))
    assert exact["fillings"][0]["log_prob"] != coarse["fillings"][0]["log_prob"]
    assert exact["fillings"][0]["log_prob"] == pytest.approx(coarse["fillings"][0]["log_prob"], abs=0.2)

"""The server of Transformers on loopback: decisions and completions of a GLM, without and with this package."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest
from transformers import pipeline
from transformers.utils import logging

from modeling_glm import choose
from tests.support.decisions import CHOICE, NOUL, SCORE, STATE, ask, shares_of

pytest.importorskip("openai", reason="the server of Transformers needs it")

ALL = ask(STATE, kind=CHOICE, where=NOUL, level=SCORE)
Post = Callable[..., tuple[int, Any]]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def make_post(port: int, wait: float) -> Post:
    """Wait until a server is up, and return a function that sends it JSON."""
    end = time.monotonic() + wait
    while True:
        try:
            urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
            break
        except URLError:
            assert time.monotonic() < end, "the server did not start"
            time.sleep(0.1)

    def post(path: str, body: dict, read: Callable = json.load) -> tuple[int, Any]:
        request = Request(
            f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urlopen(request, timeout=60) as answer:
                return answer.status, read(answer)
        except HTTPError as error:
            with error:
                return error.code, read(error)

    return post


def read_events(lines: Iterable[bytes]) -> list[dict]:
    """Read what a server sends event by event."""
    sent = [line.decode().removeprefix("data:").strip() for line in lines if line.startswith(b"data:")]
    return [json.loads(event) for event in sent if event != "[DONE]"]


@pytest.fixture(scope="module")
def post(decider_folder) -> Iterator[Post]:
    """The server in a thread of this process, which has imported the package."""
    from transformers.cli.serve import Serve

    port, verbosity = free_port(), logging.get_verbosity()
    server = Serve(force_model=str(decider_folder), non_blocking=True, host="127.0.0.1", port=port, device="cpu")
    yield make_post(port, wait=60)
    server.kill_server()
    logging.set_verbosity(verbosity)


def test_answers_are_those_of_the_pipeline(post, decider, tokenizer):
    status, found = post("/v1/systemone", ALL)
    expected = pipeline("decision", model=decider, tokenizer=tokenizer)(ALL)
    assert status == 200
    assert list(found["answers"]) == list(expected)
    for name, answer in found["answers"].items():
        assert shares_of(answer) == pytest.approx(shares_of(expected[name]), abs=1e-6)
    assert found["usage"]["input_tokens"] == len(tokenizer(decider.decision_config.render(ALL)[0])["input_ids"])


def test_and_those_of_choose(post, decider, tokenizer):
    _, found = post("/v1/systemone", ask("Paris", kind={"type": "choice", "criteria": CHOICE["criteria"]}))
    ranked = choose(decider, tokenizer, "Paris [MASK].", list(CHOICE["criteria"]))
    expected = {choice.text: choice.probability for choice in ranked}
    assert found["answers"]["kind"]["probabilities"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("request_", "status", "words"),
    [
        (ask("A."), 422, "at least 1 item"),
        (ask("A.", a={"type": "essay"}), 422, "`type` must be one of"),
        (ask("A.", a={"type": "choice", "criteria": {}}), 422, "needs `criteria` with its options"),
        (
            ask("A.", a={"type": "choice", "criteria": {str(number): None for number in range(27)}}),
            422,
            "at most 26 options",
        ),
        (ask("A.", a={"type": "score", "criteria": ["low", "low"]}), 400, "cannot tell them apart"),
        (ask("A.", a={"type": "choice", "criteria": {"a": None, "a fox": None}}), 400, "is the beginning of"),
        (ask("fox " * 80, a=NOUL), 400, "shorten the state"),
    ],
    ids=str,
)
def test_bad_requests_get_words(post, request_, status, words):
    found, answer = post("/v1/systemone", request_)
    assert found == status
    assert words in json.dumps(answer)


def test_completions_fill_the_blanks_of_the_prompt(post, decider, tokenizer):
    """The pieces come one per line, without the text around them."""
    prompt = "The [MASK] jumps over the [MASK]."
    status, found = post("/v1/completions", {"prompt": prompt, "max_tokens": 12})
    inputs = tokenizer(prompt, return_tensors="pt")
    pieces = decider.generate(**inputs, max_new_tokens=12)[0, inputs["input_ids"].shape[1] :]
    assert status == 200
    assert found["choices"][0]["text"] == str(tokenizer.decode(pieces, skip_special_tokens=True))
    status, found = post("/v1/completions", {"prompt": "The fox [gMASK]", "max_tokens": 5, "suffix": " End."})
    assert status == 200
    assert found["choices"][0]["text"].endswith(" End.")


def test_completions_stop_and_stream(post, decider, tokenizer):
    prompt = {"prompt": "The fox [gMASK]", "max_tokens": 12}
    _, whole = post("/v1/completions", prompt)
    text = whole["choices"][0]["text"]
    stop = text[len(text) // 2]
    _, stopped = post("/v1/completions", {**prompt, "stop": [stop]})
    found = stopped["choices"][0]["text"]  # up to the token that completes the stop string
    assert text.startswith(found)
    assert found.count(stop) >= 1
    assert len(found) < len(text)
    streamed = post("/v1/completions", {**prompt, "stream": True}, read=read_events)[1]
    assert "".join(event["choices"][0]["text"] for event in streamed) == text


def test_completions_without_a_blank_fail(post):
    assert post("/v1/completions", {"prompt": "The fox", "max_tokens": 5}, read=lambda file: file.read())[0] == 500


@pytest.mark.slow
def test_the_command_serves_a_folder_by_its_own_code(decider_folder, post, tmp_path):
    """`transformers serve` does not import this package: the code in the folder answers."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "transformers.cli.transformers",
        "serve",
        str(decider_folder),
        "--trust-remote-code",
    ]
    environment = {**os.environ, "HF_HOME": str(tmp_path), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    with (
        subprocess.Popen(
            [*command, "--device", "cpu", "--host", "127.0.0.1", "--port", str(port)],
            env=environment,
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process,
        contextlib.ExitStack() as stack,
    ):
        stack.callback(process.kill)
        answers = make_post(port, wait=120)("/v1/systemone", ALL)
    assert list(tmp_path.rglob("questions_glm.py"))
    assert answers[0] == 200
    for name, answer in post("/v1/systemone", ALL)[1]["answers"].items():
        assert shares_of(answers[1]["answers"][name]) == pytest.approx(shares_of(answer), abs=1e-6)

"""The service of examples/service.py under parallel requests: the answers of each alone, limits in words, flat memory."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import Any

import httpx
import psutil
import pytest

pytest.importorskip("fastapi")

from examples.service import create_app
from modeling_glm import ClozeClassifier, GLMForMultipleChoice, PatternVerbalizer, choose, fill_blanks
from modeling_glm.serving.settings import ServiceSettings
from tests.support.models import TEXTS, make_text_model

TASK = PatternVerbalizer("{text} It was [MASK].", {"good": "quick", "bad": "the lazy dog"})
WORDS = sorted({word.strip(".,") for text in TEXTS for word in text.split()})
CHOICES = ["quick", "the lazy cat", "404"]
Calls = Sequence[tuple[str, dict[str, Any]]]


@pytest.fixture(scope="module")
def model(tokenizer):
    return make_text_model(tokenizer)


@pytest.fixture(scope="module")
def carrier(tokenizer):
    return TASK.attach(tokenizer)


def make_calls(count: int) -> list[tuple[str, dict[str, Any]]]:
    """Requests of all kinds with texts of different lengths."""
    calls = []
    for number in range(count):
        words = " ".join(WORDS[(number + step) % len(WORDS)] for step in range(number % 9))
        calls.append(
            [
                ("/fill", {"text": f"{words} [MASK] and [MASK]."}),
                ("/choose", {"text": f"{words} [MASK]", "choices": CHOICES[number % 2 :]}),
                ("/classify", {"example": f"{words} {number}"}),
            ][number % 3]
        )
    return calls


def run(app, use: Callable[[httpx.AsyncClient], Awaitable[Any]]) -> Any:
    async def with_client() -> Any:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await use(client)

    return asyncio.run(with_client())


async def send(client: httpx.AsyncClient, calls: Calls) -> list[httpx.Response]:
    """Send all requests at the same time."""
    return await asyncio.gather(*(client.post(path, json=body) for path, body in calls))


def post_all(app, calls: Calls) -> list[httpx.Response]:
    return run(app, lambda client: send(client, calls))


def get(app, path: str) -> httpx.Response:
    return run(app, lambda client: client.get(path))


def answer_alone(model, tokenizer, classifier, path: str, body: dict[str, Any]) -> Any:
    if path == "/fill":
        (found,) = fill_blanks(model, tokenizer, body["text"], max_new_tokens_per_blank=3)
        fields = ("text", "start", "end", "probability")
        answers = [{name: getattr(answer, name) for name in fields} for answer in found.answers]
        return {"text": found.text, "log_prob": found.log_prob, "answers": answers}
    if path == "/choose":
        return [asdict(choice) for choice in choose(model, tokenizer, body["text"], body["choices"])]
    (ranked,) = classifier.predict_top([body["example"]])
    return [{"label": one.label, "probability": one.probability} for one in ranked]


def same(found: Any, expected: Any) -> bool:
    """Compare JSON with numbers up to the rounding of a batch."""
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(same(found[name], expected[name]) for name in expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    return found == pytest.approx(expected, abs=1e-4) if isinstance(expected, float) else found == expected


def test_fifty_parallel_requests_get_the_answers_of_each_alone(model, carrier):
    chooser = GLMForMultipleChoice(model.config).eval()
    chooser.load_state_dict(model.state_dict())
    classifier = ClozeClassifier(chooser, carrier)
    calls, app = make_calls(50), create_app(model, carrier, ServiceSettings(most_tokens=3))
    for (path, body), response in zip(calls, post_all(app, calls), strict=True):
        assert response.status_code == 200
        assert same(response.json(), answer_alone(model, carrier, classifier, path, body))
    metrics = dict(line.rsplit(" ", 1) for line in get(app, "/metrics").text.splitlines())
    assert metrics["glm_batched_requests_total"] == "50"
    assert int(metrics["glm_batches_total"]) < 10
    assert metrics['glm_requests_total{path="/fill",status="200"}'] == "17"


def test_memory_is_flat(model, carrier):
    """Six rounds of 50 requests take no more memory than two: the model has 30,000 parameters, a leak shows at once."""
    process, sizes, statuses = psutil.Process(), [], set()

    async def use(client: httpx.AsyncClient) -> None:
        for _ in range(6):
            statuses.update(response.status_code for response in await send(client, make_calls(50)))
            sizes.append(process.memory_info().rss)

    run(create_app(model, carrier, ServiceSettings(most_tokens=3)), use)
    assert statuses == {200}
    assert sizes[-1] - sizes[1] < 8 * 2**20


def test_wrong_requests_get_words_and_the_others_their_answers(model, carrier):
    app = create_app(
        model, carrier, ServiceSettings(most_tokens=3, most_blanks=3, most_characters=900, most_choices=4)
    )
    wrong = [
        ("/fill", {"text": "no blank"}, "has no blank to fill"),
        ("/fill", {"text": "[MASK] " * 4}, "has 4 blanks: expected at most 3"),
        ("/fill", {"text": "x" * 901 + "[MASK]"}, "characters in a text: expected at most 900"),
        ("/fill", {"text": "fox " * 90 + "[MASK]"}, "the position table holds"),
        ("/fill", {"text": 3}, "valid string"),
        ("/fill", {}, "Field required"),
        ("/choose", {"text": "[MASK] [MASK]", "choices": ["a"]}, "has 2 blanks, but the choices are for one"),
        ("/choose", {"text": "[MASK]", "choices": []}, "at least 1 item"),
        ("/choose", {"text": "[MASK]", "choices": ["a", ""]}, "Choice 1 is ''"),
        ("/choose", {"text": "[MASK]", "choices": list("abcde")}, "has 5 choices: expected at most 4"),
        ("/classify", {"example": {"other": "x"}}, "asks for a field 'text'"),
    ]
    good = make_calls(6)
    responses = post_all(app, [*((path, body) for path, body, _ in wrong), *good])
    assert [response.status_code for response in responses] == [422] * len(wrong) + [200] * len(good)
    for (_, _, words), response in zip(wrong, responses, strict=False):
        assert words in response.text


def test_without_a_task_nothing_is_classified(model, tokenizer):
    app = create_app(model, tokenizer, ServiceSettings(most_tokens=3))
    (response,) = post_all(app, [("/classify", {"example": "x"})])
    assert (response.status_code, "has no task" in response.text) == (422, True)
    assert get(app, "/health").json() == {"status": "ok", "classifies": False}
    assert get(app, "/nothing").status_code == 404
    assert 'path="other",status="404"' in get(app, "/metrics").text


def test_a_slow_answer_becomes_a_status(model, carrier):
    app = create_app(model, carrier, ServiceSettings(timeout=0.001))
    (response,) = post_all(app, [("/fill", {"text": "[MASK]"})])
    assert (response.status_code, response.json()["detail"]) == (504, "There was no answer within 0.001 seconds.")

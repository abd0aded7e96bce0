"""Errors become a status with words, and requests are counted by route."""

import asyncio
from collections import Counter

import pytest

pytest.importorskip("fastapi")

import httpx
from fastapi import FastAPI

from modeling_glm.serving.batching import ServiceBusyError
from modeling_glm.serving.web import count_requests, explain_errors
from modeling_glm.utils.rows import RowError

ERRORS = {
    "wrong": (ValueError("No blank."), 422, "No blank."),
    "row": (RowError(3, "No blank.", "Text"), 422, "No blank."),
    "busy": (ServiceBusyError("Too many."), 503, "Too many."),
    "slow": (TimeoutError("No answer."), 504, "No answer."),
}
UNKNOWN = "broken"


def make_app(counts: Counter) -> FastAPI:
    app = FastAPI()
    explain_errors(app)
    count_requests(app, counts)

    @app.get("/fail/{name}")
    async def fail(name: str) -> None:
        raise RuntimeError("out of memory") if name == UNKNOWN else ERRORS[name][0]

    @app.get("/work")
    async def work() -> str:
        return "done"

    return app


def get_all(app: FastAPI, paths: list[str]) -> list[httpx.Response]:
    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return [await client.get(path) for path in paths]

    return asyncio.run(ask())


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_becomes_a_status_with_words(name):
    _, status, words = ERRORS[name]
    (response,) = get_all(make_app(Counter()), [f"/fail/{name}"])
    assert (response.status_code, response.json()) == (status, {"detail": words})


def test_requests_are_counted_by_route():
    counts: Counter = Counter({"glm_batches_total": 2})
    *_, shown = get_all(make_app(counts), ["/work", "/work", "/nothing", f"/fail/{UNKNOWN}", "/metrics"])
    lines = dict(line.rsplit(" ", 1) for line in shown.text.splitlines())
    assert lines['glm_requests_total{path="/work",status="200"}'] == "2"
    assert lines['glm_requests_total{path="other",status="404"}'] == "1"
    assert lines['glm_requests_total{path="other",status="500"}'] == "1"
    assert float(lines['glm_seconds_total{path="/work"}']) >= 0
    assert lines["glm_batches_total"] == "2"
    assert counts['glm_requests_total{path="/metrics",status="200"}'] == 1

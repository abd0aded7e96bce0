#!/usr/bin/env python
"""
Serve a GLM over HTTP: POST /fill, /choose and /classify, GET /health and /metrics.

Requests that arrive together share a forward pass. Wrong ones get status 422 with the reason. /classify needs a tokenizer
that carries a task, as `task.attach(tokenizer)` saves it.

    pip install 'modeling-glm[serve]'
    python examples/service.py --model path/or/hub-id --port 8000
    curl localhost:8000/fill -H 'Content-Type: application/json' -d '{"text": "Paris is the [MASK] of France."}'
"""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
import uvicorn
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel, Field
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, HfArgumentParser

from modeling_glm import ClozeClassifier, GLMForMultipleChoice, choose, embedded_checkpoint, fill_blanks
from modeling_glm.utils.help import HelpFormatter

PATHS = ("/fill", "/choose", "/classify", "/health", "/metrics")
ANSWER_FIELDS = ("text", "start", "end", "probability")


@dataclass
class ServiceArguments:
    """The model to serve, and how much a request may ask."""

    model: str = field(
        default=embedded_checkpoint(),
        metadata={"help": "Folder or hub id of a GLM that fills blanks."},
    )
    host: str = field(default="127.0.0.1", metadata={"help": "Address to listen on."})
    port: int = field(default=8000, metadata={"help": "Port to listen on."})
    most_characters: int = field(default=10_000, metadata={"help": "Longest text or choice."})
    most_blanks: int = field(default=16, metadata={"help": "Most blanks of a text."})
    most_tokens: int | None = field(default=None, metadata={"help": "Longest answer of a blank. Without it: 64."})
    most_choices: int = field(default=256, metadata={"help": "Most choices of a text."})
    batch_size: int = field(default=32, metadata={"help": "Most requests that are answered together."})
    wait: float = field(default=0.005, metadata={"help": "Seconds in which further requests join a batch."})
    timeout: float = field(default=30.0, metadata={"help": "Seconds after which a request gets status 504."})
    most_waiting: int = field(default=1000, metadata={"help": "Requests that may wait; further ones get status 503."})


class FillRequest(BaseModel):
    text: str


class ChooseRequest(FillRequest):
    choices: list[str] = Field(min_length=1)


class ClassifyRequest(BaseModel):
    example: str | dict[str, str | list[str]]


class Batcher:
    """Collect requests for a moment and answer them in one call. All batchers of a model take turns."""

    def __init__(self, answer: Callable, turn: asyncio.Lock, counts: Counter, args: ServiceArguments):
        self.answer, self.turn, self.counts, self.args = answer, turn, counts, args
        self.waiting: list[tuple[Any, asyncio.Future]] = []
        self.tasks: set[asyncio.Task] = set()

    async def __call__(self, request: Any) -> Any:
        if len(self.waiting) >= self.args.most_waiting:
            raise HTTPException(503, "Too many requests are waiting: try again later.")
        future = asyncio.get_running_loop().create_future()
        self.waiting.append((request, future))
        self.tasks.add(task := asyncio.create_task(self.take_turn()))
        task.add_done_callback(self.tasks.discard)
        try:
            found = await asyncio.wait_for(future, self.args.timeout)
        except TimeoutError:
            raise HTTPException(504, f"There was no answer within {self.args.timeout:g} seconds.") from None
        if isinstance(found, Exception):
            raise found
        return found

    async def take_turn(self) -> None:
        async with self.turn:
            if not self.waiting:  # an earlier turn has answered them all
                return
            await asyncio.sleep(self.args.wait)
            taken, self.waiting = self.waiting[: self.args.batch_size], self.waiting[self.args.batch_size :]
            batch = [(request, future) for request, future in taken if not future.done()]  # without those timed out
            self.counts.update({"glm_batches_total": 1, "glm_batched_requests_total": len(batch)})
            try:
                answers = await asyncio.to_thread(self.answer, [request for request, _ in batch]) if batch else []
            except Exception as error:
                answers = [error] * len(batch)
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)


def create_app(model: Any, tokenizer: Any, args: ServiceArguments) -> FastAPI:
    """Make the application. A row that cannot be answered stands as its `RowError` among the answers of its batch."""
    app, counts, turn = FastAPI(title="GLM"), Counter(), asyncio.Lock()
    classifier = None
    if tokenizer.cloze is not None:
        with torch.device("meta"):  # it shares the weights
            chooser = GLMForMultipleChoice(model.config).eval()
        chooser.glm, chooser.lm_head = model.glm, model.lm_head
        classifier = ClozeClassifier(chooser, tokenizer)

    def check(text: str, choices: Sequence[str] = ()) -> None:
        longest, blanks = max(map(len, [text, *choices])), len(tokenizer.split_at_blanks(text)) - 1
        for name, found, most in (
            ("characters in a text", longest, args.most_characters),
            ("blanks", blanks, args.most_blanks),
            ("choices", len(choices), args.most_choices),
        ):
            if found > most:
                raise ValueError(f"The request has {found} {name}: expected at most {most}.")

    settings: dict[str, Any] = {"max_new_tokens_per_blank": args.most_tokens, "on_error": "record"}
    fill = Batcher(lambda texts: fill_blanks(model, tokenizer, texts, **settings), turn, counts, args)
    pick = Batcher(
        lambda rows: choose(model, tokenizer, *zip(*rows, strict=True), on_error="record"), turn, counts, args
    )
    rank = Batcher(lambda examples: classifier.predict_top(examples, on_error="record"), turn, counts, args)

    @app.exception_handler(ValueError)
    async def explain(request: Request, error: ValueError) -> JSONResponse:
        return JSONResponse({"detail": getattr(error, "reason", str(error))}, status_code=422)

    @app.middleware("http")
    async def count(request: Request, call_next: Callable) -> Any:
        start, path = time.perf_counter(), request.url.path if request.url.path in PATHS else "other"
        response = await call_next(request)
        counts[f'glm_requests_total{{path="{path}",status="{response.status_code}"}}'] += 1
        counts[f'glm_seconds_total{{path="{path}"}}'] += time.perf_counter() - start
        return response

    @app.post("/fill")
    async def answer_fill(request: FillRequest) -> dict[str, Any]:
        check(request.text)
        (found,) = await fill(request.text)
        answers = [{name: getattr(answer, name) for name in ANSWER_FIELDS} for answer in found.answers]
        return {"text": found.text, "log_prob": found.log_prob, "answers": answers}

    @app.post("/choose")
    async def answer_choose(request: ChooseRequest) -> list[dict[str, Any]]:
        check(request.text, request.choices)
        return [asdict(choice) for choice in await pick((request.text, request.choices))]

    @app.post("/classify")
    async def answer_classify(request: ClassifyRequest) -> list[dict[str, Any]]:
        if classifier is None:
            raise ValueError("The model has no task: save one with task.attach(tokenizer).save_pretrained(folder).")
        check(str(request.example))
        return [{"label": one.label, "probability": one.probability} for one in await rank(request.example)]

    @app.get("/health")
    async def answer_health() -> dict[str, Any]:
        return {"status": "ok", "classifies": classifier is not None}

    @app.get("/metrics", response_class=PlainTextResponse)
    async def answer_metrics() -> str:
        return "".join(f"{name} {value}\n" for name, value in sorted(counts.items()))

    return app


def main() -> None:
    args: ServiceArguments
    parser = HfArgumentParser(ServiceArguments, description=__doc__, formatter_class=HelpFormatter)
    (args,) = parser.parse_args_into_dataclasses()
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = AutoModelForSeq2SeqLM.from_pretrained(args.model, dtype=torch.float32).eval()
    uvicorn.run(create_app(model, tokenizer, args), host=args.host, port=args.port)


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")

#!/usr/bin/env python
"""
Serve a GLM over HTTP: POST /fill, /choose and /classify, GET /health and /metrics.

Requests that arrive together share a forward pass. Wrong ones get status 422 with the reason. /classify needs a tokenizer
that carries a task, as `task.attach(tokenizer)` saves it.

    pip install 'modeling-glm[serve]'
    python examples/service.py --model path/or/hub-id --port 8000
    curl localhost:8000/fill -H 'Content-Type: application/json' -d '{"text": "Paris is the [MASK] of France."}'
"""

import sys
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, Field
from transformers import HfArgumentParser

from modeling_glm import GLMForConditionalGeneration, embedded_checkpoint
from modeling_glm.cli.inputs import PrecisionName, load
from modeling_glm.serving.answering import AnsweringService
from modeling_glm.serving.settings import ServiceSettings
from modeling_glm.serving.web import count_requests, explain_errors
from modeling_glm.utils.help import HelpFormatter


@dataclass
class ServiceArguments:
    """The model to serve, and where."""

    model: str = field(
        default=embedded_checkpoint(), metadata={"help": "Folder or hub id of a GLM that fills blanks."}
    )
    precision: str = field(
        default="auto",
        metadata={
            "help": "In which precision to compute. auto: what this CPU is good at, for the size of the model.",
            "choices": ["auto", "fp32", "bf16", "int8"],
        },
    )
    host: str = field(default="127.0.0.1", metadata={"help": "Address to listen on."})
    port: int = field(default=8000, metadata={"help": "Port to listen on."})


class FillRequest(BaseModel):
    text: str


class ChooseRequest(FillRequest):
    choices: list[str] = Field(min_length=1)


class ClassifyRequest(BaseModel):
    example: str | dict[str, str | list[str]]


def create_app(model: Any, tokenizer: Any, settings: ServiceSettings) -> FastAPI:
    """Make the application."""
    app, service = FastAPI(title="GLM"), AnsweringService(model, tokenizer, settings)
    explain_errors(app)
    count_requests(app, service.counts)

    @app.post("/fill")
    async def fill(request: FillRequest) -> dict[str, Any]:
        return await service.fill(request.text)

    @app.post("/choose")
    async def choose(request: ChooseRequest) -> list[dict[str, Any]]:
        return await service.choose(request.text, request.choices)

    @app.post("/classify")
    async def classify(request: ClassifyRequest) -> list[dict[str, Any]]:
        return await service.classify(request.example)

    @app.get("/health")
    async def health() -> dict[str, Any]:
        return {"status": "ok", "classifies": service.classifies}

    return app


def main() -> None:
    groups: Any = (ServiceArguments, ServiceSettings)
    parser = HfArgumentParser(groups, description=__doc__, formatter_class=HelpFormatter)
    args, settings = parser.parse_args_into_dataclasses()
    precision = PrecisionName(args.precision)
    model, tokenizer = load(GLMForConditionalGeneration, args.model, "cpu", precision, None)
    uvicorn.run(create_app(model, tokenizer, settings), host=args.host, port=args.port)


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")

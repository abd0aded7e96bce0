"""Errors and metrics of a web service. Needs FastAPI: `pip install 'modeling-glm[serve]'`."""

import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from ..utils.extras import from_extra
from .batching import ServiceBusyError

with from_extra("serve", "A service"):
    from fastapi import FastAPI, Request, Response
    from fastapi.responses import JSONResponse, PlainTextResponse

# The status of a request that raised one of these, the first that fits.
STATUSES: dict[type[Exception], int] = {ValueError: 422, ServiceBusyError: 503, TimeoutError: 504}


def explain_errors(app: FastAPI) -> None:
    """Answer a request that cannot be answered with its status, and with the message of its error as `detail`."""

    async def explain(request: Request, error: Exception) -> JSONResponse:
        status = next(status for kind, status in STATUSES.items() if isinstance(error, kind))
        # A RowError names the row of the batch, which is not that of the caller.
        return JSONResponse({"detail": getattr(error, "reason", str(error))}, status_code=status)

    for kind in STATUSES:
        app.add_exception_handler(kind, explain)


def count_requests(app: FastAPI, counts: Counter) -> None:
    """
    Count requests and seconds by route, and show all counts at `GET /metrics`, as Prometheus reads them.

    Args:
        app: The application. Its routes may be added before or afterwards; the path of any other request is "other".
        counts: Where to count.
    """

    def note(path: str, status: int, seconds: float):
        routes = {getattr(route, "path", None) for route in app.routes}
        path = path if path in routes else "other"
        counts[f'glm_requests_total{{path="{path}",status="{status}"}}'] += 1
        taken: dict[str, Any] = {f'glm_seconds_total{{path="{path}"}}': seconds}
        counts.update(taken)  # a Counter adds fractions, too, which its type does not say

    @app.middleware("http")
    async def count(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        start = time.perf_counter()
        try:
            response = await call_next(request)
        except Exception:  # that nothing explains
            note(request.url.path, 500, time.perf_counter() - start)
            raise
        note(request.url.path, response.status_code, time.perf_counter() - start)
        return response

    @app.get("/metrics", response_class=PlainTextResponse)
    async def show_metrics() -> str:
        return "".join(f"{name} {value}\n" for name, value in sorted(counts.items()))


__all__ = ["STATUSES", "count_requests", "explain_errors"]

"""Answer requests that arrive together in one call."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

from .settings import ServiceSettings

# Names of the counts, as Prometheus reads them.
BATCHES, BATCHED_REQUESTS = "glm_batches_total", "glm_batched_requests_total"


class ServiceBusyError(RuntimeError):
    """Raised if a request comes while too many wait already."""


class RequestBatcher:
    """
    Collect requests for a moment, and answer them in one call in a thread.

    `await batcher(request)` returns the answer to one request.

    Args:
        answer: A function of a list of requests, with an answer for each in their order. An exception among the answers is
            raised for its request alone. One that the function raises itself is raised for the whole batch.
        turn: A lock that the batchers of a model share, so that they take turns.
        counts: Where to count batches and their requests.
        settings: How many requests are answered together and may wait, and for how long.
    """

    def __init__(
        self,
        answer: Callable[[list[Any]], Sequence[Any]],
        turn: asyncio.Lock,
        counts: Counter,
        settings: ServiceSettings,
    ):
        self.tasks: set[asyncio.Task] = set()  # asyncio itself keeps no reference to a running task
        self._answer, self._turn, self._counts, self._settings = answer, turn, counts, settings
        self._waiting: dict[asyncio.Future, Any] = {}  # in the order of their arrival

    async def __call__(self, request: Any) -> Any:
        """
        Return the answer to a request.

        Raises:
            ServiceBusyError: If too many requests wait already.
            TimeoutError: If there is no answer in time. A request that still waits then is dropped.
        """
        if len(self._waiting) >= self._settings.most_waiting:
            raise ServiceBusyError("Too many requests are waiting: try again later.")
        future = asyncio.get_running_loop().create_future()
        self._waiting[future] = request
        self.tasks.add(task := asyncio.create_task(self._take_turn()))
        task.add_done_callback(self.tasks.discard)
        try:
            found = await asyncio.wait_for(future, self._settings.timeout)
        except TimeoutError:
            raise TimeoutError(f"There was no answer within {self._settings.timeout:g} seconds.") from None
        finally:
            self._waiting.pop(future, None)  # the caller may have gone, too
        if isinstance(found, Exception):
            raise found
        return found

    async def _take_turn(self) -> None:
        """Answer the requests that wait, unless an earlier turn has answered them all."""
        async with self._turn:
            if not self._waiting:
                return
            await asyncio.sleep(self._settings.wait)
            batch = dict(islice(self._waiting.items(), self._settings.batch_size))
            if not batch:  # all have gone in the meantime
                return
            self._waiting = dict(islice(self._waiting.items(), len(batch), None))
            self._counts.update({BATCHES: 1, BATCHED_REQUESTS: len(batch)})
            answers = await asyncio.to_thread(self._answer_all, list(batch.values()))
            for future, answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)

    def _answer_all(self, requests: list[Any]) -> Sequence[Any]:
        """Answer a batch. An error of the whole batch is that of every request."""
        try:
            return self._answer(requests)
        except Exception as error:
            return [error] * len(requests)
        except BaseException as error:  # extensions in Rust panic with classes that are no Exception
            failed = RuntimeError(f"{type(error).__name__}: {error}")
            failed.__cause__ = error
            return [failed] * len(requests)


__all__ = ["BATCHED_REQUESTS", "BATCHES", "RequestBatcher", "ServiceBusyError"]

"""Requests that arrive together are answered in one call, in time and within limits, and an error stays where it belongs."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling_glm.serving.batching import BATCHED_REQUESTS, BATCHES, RequestBatcher, ServiceBusyError
from modeling_glm.serving.settings import ServiceSettings


async def submit(batcher: RequestBatcher, requests: Sequence[Any]) -> list[Any]:
    return await asyncio.gather(*map(batcher, requests), return_exceptions=True)


@pytest.mark.parametrize(
    ("settings", "count", "kinds"),
    [
        ({"timeout": 0.05}, 2, [TimeoutError, TimeoutError]),
        ({"most_waiting": 1}, 3, [int, ServiceBusyError, ServiceBusyError]),
    ],
    ids=["slow", "crowded"],
)
def test_slow_and_crowded_batchers_say_so(settings, count, kinds):
    def answer(requests: list[Any]) -> list[Any]:
        time.sleep(0.2)
        return requests

    async def ask() -> list[Any]:
        return await submit(
            RequestBatcher(answer, asyncio.Lock(), Counter(), ServiceSettings(**settings)), range(count)
        )

    found = asyncio.run(ask())
    assert [type(answer) for answer in found] == kinds


class PanicException(BaseException):
    """As extensions in Rust raise it."""


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), PanicException("out of memory")])
def test_an_error_of_a_whole_batch_reaches_every_request(error):
    """And the next batch is answered."""

    def answer(requests: list[Any]) -> list[Any]:
        if "bad" in requests:
            raise error
        return requests

    async def ask() -> list[Any]:
        counts = Counter()
        batcher = RequestBatcher(answer, asyncio.Lock(), counts, ServiceSettings(batch_size=2))
        return [*await submit(batcher, ["bad", "a", "b", "c", "d"]), counts[BATCHES]]

    *found, batches = asyncio.run(ask())
    assert [type(answer) for answer in found[:2]] == [RuntimeError] * 2
    assert all("out of memory" in str(answer) for answer in found[:2])
    assert found[2:] == ["b", "c", "d"]
    assert batches == 3


def test_a_timed_out_request_is_not_answered():
    asked = []

    def answer(requests: list[Any]) -> list[Any]:
        asked.extend(requests)
        time.sleep(0.15)
        return requests

    async def ask() -> tuple[list[Any], int]:
        counts = Counter()
        batcher = RequestBatcher(answer, asyncio.Lock(), counts, ServiceSettings(timeout=0.1, batch_size=1))
        found = await submit(batcher, ["first", "second"])
        await asyncio.gather(*batcher.tasks)
        return found, counts[BATCHES]

    found, batches = asyncio.run(ask())
    assert batches == 1
    assert [re.sub(r"\d\S*", "N", str(error)) for error in found] == ["There was no answer within N seconds."] * 2
    assert asked == ["first"]


def test_those_who_have_gone_leave_room_for_others():
    """A caller who disconnects while a batch is computed no longer waits."""
    asked = []

    def answer(requests: list[Any]) -> list[Any]:
        asked.extend(requests)
        time.sleep(0.1)
        return requests

    async def ask() -> list[Any]:
        batcher = RequestBatcher(answer, asyncio.Lock(), Counter(), ServiceSettings(most_waiting=1, batch_size=1))
        first = asyncio.create_task(batcher("first"))
        await asyncio.sleep(0.05)
        gone = asyncio.create_task(batcher("gone"))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        return [await first, await batcher("second")]

    assert asyncio.run(ask()) == ["first", "second"]
    assert asked == ["first", "second"]


@given(st.lists(st.integers(-3, 3), max_size=12), st.integers(1, 5), st.integers(1, 3))
def test_every_request_gets_its_own_answer(numbers, size, batchers):
    """Several batchers in turn give what a loop gives, with the errors of bad requests in their places."""

    def answer_one(number: int) -> Any:
        return ValueError(f"bad {number}") if number < 0 else number * 10

    async def ask() -> list[Any]:
        turn, counts, settings = asyncio.Lock(), Counter(), ServiceSettings(batch_size=size, wait=0)
        made = [
            RequestBatcher(lambda batch: list(map(answer_one, batch)), turn, counts, settings) for _ in range(batchers)
        ]
        asked = [made[place % batchers](number) for place, number in enumerate(numbers)]
        found = await asyncio.gather(*asked, return_exceptions=True)
        assert counts[BATCHED_REQUESTS] == len(numbers)
        return found

    found = asyncio.run(ask())
    assert list(map(repr, found)) == [repr(answer_one(number)) for number in numbers]

"""Share the model among visitors: one computes at a time, and the one who has used the model least goes first."""

import asyncio
import contextvars
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")
MOST_QUESTIONS = 32  # at the same time
POLL = 0.05  # seconds
REST = 1.0  # seconds between two results, so that what a reader is about to click stays in its place


class Stopped(Exception):  # noqa: N818  # it is no error
    """End a question that its visitor has stopped."""


@dataclass(eq=False)
class Ticket:
    """
    Hold the place of a question in the queue.

    Attributes:
        visitor: Who asks.
        used: The seconds for which the question has had the model.
        stage: What is being computed, for people.
        stopped: Whether the visitor has stopped it.
        replaced: Whether the visitor has asked something else instead.
    """

    visitor: str
    used: float = 0.0
    stage: str = ""
    stopped: bool = False
    replaced: bool = False


@dataclass(frozen=True, kw_only=True)
class News(Generic[Value]):
    """
    Hold what is new about a question.

    Attributes:
        stage: What is being computed, or "" at the end.
        values: The results since the last news.
    """

    stage: str
    values: list[Value] = field(default_factory=list)


class Turns:
    """
    Hand the model from question to question.

    A question calls `pause` before every forward pass of the model. There it waits if another one has used the model for
    less time. So short questions pass a long one, and long ones share what is left.
    """

    def __init__(self):
        self._condition = threading.Condition()
        self._waiting: dict[Ticket, None] = {}  # in the order of arrival
        self._running: Ticket | None = None
        self._since = 0.0
        self._latest: dict[str, Ticket] = {}
        self._current: contextvars.ContextVar[Ticket | None] = contextvars.ContextVar("ticket", default=None)
        self._threads = ThreadPoolExecutor(2 * MOST_QUESTIONS, thread_name_prefix="question")

    @property
    def visitors(self) -> list[str]:
        """The visitors whose questions are computed or wait."""
        with self._condition:
            return list(self._latest)

    def stop(self, visitor: str):
        """Stop the question of a visitor. It ends before its next forward pass."""
        with self._condition:
            if ticket := self._latest.get(visitor):
                ticket.stopped = True
            self._condition.notify_all()

    def report(self, stage: str):
        """Say what the question of this thread computes now."""
        if ticket := self._current.get():
            ticket.stage = stage

    def pause(self, *_: Any):
        """Let others go first who have used the model less. Raises `Stopped` if the visitor has stopped the question."""
        if (ticket := self._current.get()) is None:
            return
        with self._condition:
            self._leave(ticket)
            self._wait(ticket)

    async def follow(self, visitor: str, values: Callable[[], Iterable[Value]]) -> AsyncIterator[News[Value]]:
        """
        Compute the values of a question in a thread of their own, and yield what is new.

        A question stops the last one of the same visitor. It also stops if nobody follows it any more.

        Raises:
            ValueError: If too many questions wait, or as `values` does.
            Stopped: If the visitor has stopped the question. If they have asked something else, it just ends.
        """
        ticket = self._admit(visitor)
        found: list[Value] = []

        def compute():
            with self._turn(ticket):
                for value in values():
                    found.append(value)

        job = asyncio.wrap_future(self._threads.submit(contextvars.copy_context().run, compute))
        try:
            told, shown, stage = 0, -REST, None
            while not job.done():
                now, until = self._describe(ticket), told
                if len(found) > told and time.monotonic() >= shown + REST:
                    until, shown = len(found), time.monotonic()
                if now != stage or until > told:
                    stage = now
                    yield News(stage=now, values=found[told:until])
                    told = until
                await asyncio.wait([job], timeout=POLL)
            try:
                job.result()
            except Stopped:
                if ticket.replaced:
                    return
                raise
            yield News(stage="", values=found[told:])
        finally:
            with self._condition:
                ticket.stopped = True
                if self._latest.get(ticket.visitor) is ticket:
                    del self._latest[ticket.visitor]
                self._condition.notify_all()
            job.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # nobody asks for it any more

    def _admit(self, visitor: str) -> Ticket:
        ticket = Ticket(visitor)
        with self._condition:
            before = self._latest.get(visitor)
            if before is None and len(self._latest) >= MOST_QUESTIONS:
                raise ValueError(f"{MOST_QUESTIONS} visitors are asking questions already: try again in a minute.")
            if before is not None:
                before.stopped = before.replaced = True
            self._latest[visitor] = ticket
            self._condition.notify_all()
        return ticket

    def _describe(self, ticket: Ticket) -> str:
        with self._condition:
            if ticket is self._running or ticket.used:
                return ticket.stage or "Working"
            first = sum(other.used <= ticket.used for other in self._waiting if other is not ticket)
            first += self._running is not None
            return f"Waiting for {first} other question{'s' if first > 1 else ''}" if first else "Working"

    @contextmanager
    def _turn(self, ticket: Ticket) -> Iterator[None]:
        with self._condition:
            self._wait(ticket)
        self._current.set(ticket)
        try:
            yield
        finally:
            with self._condition:
                self._leave(ticket)

    def _wait(self, ticket: Ticket):
        """Wait until nobody computes and nobody else has used the model less."""
        self._waiting[ticket] = None
        try:
            while not ticket.stopped and not (
                self._running is None and min(self._waiting, key=lambda other: other.used) is ticket
            ):
                self._condition.wait()
        finally:
            del self._waiting[ticket]
        if ticket.stopped:
            self._condition.notify_all()  # somebody else may be the first now
            raise Stopped
        self._running, self._since = ticket, time.monotonic()

    def _leave(self, ticket: Ticket):
        """Hand the model back, if the question has it."""
        if self._running is ticket:
            ticket.used += time.monotonic() - self._since
            self._running = None
            self._condition.notify_all()

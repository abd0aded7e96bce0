"""Run calls in several threads and compare the answers with those of one thread."""

import random
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any


@contextmanager
def hasty_threads() -> Iterator[None]:
    """Let the interpreter switch between threads 500 times as often, so that calls meet in more places."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)


def find_differences(
    calls: Mapping[str, Callable[[], Any]],
    *,
    threads: int = 8,
    calls_of_thread: int = 100,
    seed: int = 0,
    same: Callable[[Any, Any], bool] = lambda found, expected: found == expected,
) -> list[str]:
    """
    Make every call alone, then all of them in threads, each in an order of its own.

    Args:
        calls: Calls that give the same answer each time, by name.
        threads: Number of threads.
        calls_of_thread: Number of calls of each thread.
        seed: Decides the orders.
        same: Compares an answer with that of the call alone.

    Returns:
        A line for every other answer and every exception.
    """
    expected = {name: call() for name, call in calls.items()}
    barrier, wrong = threading.Barrier(threads), []

    def run(thread: int):
        order = random.Random(f"{seed}/{thread}").choices(list(calls), k=calls_of_thread)
        barrier.wait()
        for name in order:
            try:
                found = calls[name]()
            except BaseException as error:  # Rust panics are no Exceptions
                wrong.append(f"{name}: {type(error).__name__}: {error}")
            else:
                if not same(found, expected[name]):
                    wrong.append(f"{name}: {found!r} in place of {expected[name]!r}")

    with hasty_threads():
        running = [threading.Thread(target=run, args=(thread,)) for thread in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
    return wrong

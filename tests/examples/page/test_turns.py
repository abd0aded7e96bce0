"""The queue of the page, with questions that need no model."""

import asyncio
import threading
import time

import pytest

from examples.page.turns import MOST_QUESTIONS, Stopped, Turns

STEP = 0.005  # seconds of a step


def steps(turns: Turns, count: int, log: list[str], name: str = ""):
    """A question of `count` steps, as long as forward passes of a model."""

    def values():
        for step in range(count):
            turns.pause()
            log.append(name)
            time.sleep(STEP)
            yield step

    return values


async def all_of(turns: Turns, visitor: str, values) -> list:
    return [value async for news in turns.follow(visitor, values) for value in news.values]


def test_a_question_gives_its_values_and_stages():
    turns = Turns()

    def values():
        turns.report("One")
        yield 1
        time.sleep(0.2)
        turns.report("Two")
        time.sleep(0.2)
        yield 2

    async def follow():
        return [news async for news in turns.follow("a", values)]

    news = asyncio.run(follow())
    assert [value for entry in news for value in entry.values] == [1, 2]
    assert [stage for stage in ("One", "Two") if stage in [entry.stage for entry in news]] == ["One", "Two"]
    assert news[-1].stage == ""


def test_short_questions_pass_a_long_one():
    turns, log = Turns(), []

    async def ask():
        long = asyncio.create_task(all_of(turns, "long", steps(turns, 400, log, "long")))
        while log.count("long") < 20:
            await asyncio.sleep(0.01)
        before = len(log)
        shorts = [all_of(turns, f"short {n}", steps(turns, 3, log, f"short {n}")) for n in range(5)]
        await asyncio.gather(*shorts)
        assert not long.done()
        turns.stop("long")
        with pytest.raises(Stopped):
            await long
        return log[before:]

    while_short = asyncio.run(ask())
    shorts = [place for place, name in enumerate(while_short) if name.startswith("short")]
    assert len(shorts) == 15
    # The long one goes on only before the short ones arrive.
    assert "long" not in while_short[shorts[0] : shorts[-1]]


def test_long_questions_share_the_model():
    turns, log = Turns(), []

    async def ask():
        await asyncio.gather(*(all_of(turns, name, steps(turns, 40, log, name)) for name in "ab"))

    asyncio.run(ask())
    assert abs(log[:40].count("a") - log[:40].count("b")) <= 10


def test_one_computes_at_a_time():
    turns, inside, most = Turns(), set(), []

    def values(name):
        def compute():
            for _ in range(10):
                turns.pause()
                inside.add(name)
                most.append(len(inside))
                time.sleep(0.001)
                inside.discard(name)
                yield None

        return compute

    async def ask():
        await asyncio.gather(*(all_of(turns, str(name), values(name)) for name in range(6)))

    asyncio.run(ask())
    assert len(most) == 60
    assert set(most) == {1}


def test_a_stopped_question_ends_at_its_next_step():
    turns, log = Turns(), []

    async def ask():
        task = asyncio.create_task(all_of(turns, "a", steps(turns, 10_000, log)))
        await asyncio.sleep(0.1)
        turns.stop("somebody else")
        await asyncio.sleep(0.05)
        assert not task.done()
        turns.stop("a")
        with pytest.raises(Stopped):
            await task
        return len(log)

    computed = asyncio.run(ask())
    time.sleep(3 * STEP)
    assert len(log) == computed < 1000


def test_a_question_that_waits_is_stopped():
    turns, log = Turns(), []
    free = threading.Event()

    def blocks():
        free.wait(10)
        yield None

    async def ask():
        first = asyncio.create_task(all_of(turns, "a", blocks))
        await asyncio.sleep(0.1)
        second = turns.follow("b", steps(turns, 3, log))
        stages = [(await anext(second)).stage]
        turns.stop("b")
        with pytest.raises(Stopped):
            await anext(second)
        free.set()
        await first
        return stages

    assert asyncio.run(ask()) == ["Waiting for 1 other question"]
    assert log == []


def test_a_new_question_replaces_that_of_the_same_visitor():
    turns, log = Turns(), []

    async def ask():
        first = asyncio.create_task(all_of(turns, "a", steps(turns, 10_000, log)))
        await asyncio.sleep(0.05)
        second = await all_of(turns, "a", steps(turns, 3, log))
        return await first, second

    first, second = asyncio.run(ask())
    assert second == [0, 1, 2]
    assert len(first) < 1000


def test_a_question_that_nobody_follows_ends():
    turns, log = Turns(), []

    async def ask():
        following = turns.follow("a", steps(turns, 10_000, log))
        await anext(following)
        await following.aclose()
        await asyncio.sleep(0.1)
        return len(log)

    computed = asyncio.run(ask())
    time.sleep(3 * STEP)
    assert len(log) == computed


def test_errors_reach_the_visitor_and_free_the_model():
    turns = Turns()

    def fails():
        raise ValueError("no")
        yield

    async def ask():
        with pytest.raises(ValueError, match="no"):
            await all_of(turns, "a", fails)
        return await all_of(turns, "a", steps(turns, 2, []))

    assert asyncio.run(ask()) == [0, 1]


def test_too_many_questions_are_refused():
    turns = Turns()
    free = threading.Event()

    def blocks():
        free.wait(10)
        yield None

    async def ask():
        tasks = [asyncio.create_task(all_of(turns, str(n), blocks)) for n in range(MOST_QUESTIONS)]
        await asyncio.sleep(0.1)
        with pytest.raises(ValueError, match=f"{MOST_QUESTIONS} visitors are asking"):
            await all_of(turns, "one more", blocks)
        free.set()
        await asyncio.gather(*tasks)
        return await all_of(turns, "one more", blocks)

    assert asyncio.run(ask()) == [None]


def test_outside_of_a_question_nothing_waits():
    turns = Turns()
    turns.report("nothing")
    turns.pause("as", "a hook")
